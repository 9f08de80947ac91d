"""How much of the time that the endpoint alone needs an evaluation of 200 pulls takes, faults and all.

    python -m benchmarks.evaluation_throughput

A loopback OpenAI-compatible endpoint answers after 200 ms, writes the diaries and judges them; a share of its replies
are 429s, 500s, time-outs and truncated bodies. The yardstick, in the same run, is what no client can beat: as many
bare requests as the endpoint has answered well, `concurrency` at a time, without faults, sent by httpx. The ledger must
equal the endpoint's own bill to the cent, and no pull may be lost or counted twice.
"""

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

import httpx
import openai.resources.chat.completions  # noqa: F401 - loading the library is no part of an evaluation's throughput

from components.evaluate_prompts.config import Config
from components.evaluate_prompts.evaluation import Evaluation
from drills import world
from memozy.ledger import open_ledger
from memozy.llm import LLMConfig
from memozy.records import ARMS, read
from tests.endpoint import Endpoint, serving, shares

LATENCY_S, TIMEOUT_S, CONTEXTS, PULLS = 0.2, 0.6, 200, 200
FAULTS = {429: 0.02, 500: 0.02, "late": 0.01, "truncated": 0.01}


def evaluate(folder: Path, endpoint: Endpoint, concurrency: int, at_once: int) -> dict:
    """200 pulls, written and judged: seconds, calls answered, and what the books say."""
    llm = LLMConfig(backend="openai", model="m", usd_per_million_input=1.0, usd_per_million_output=2.0, budget_usd=100.0,
                    concurrency=concurrency, timeout_s=TIMEOUT_S, idempotent=True)  # fmt: skip
    config = Config(n_contexts=CONTEXTS, scorer="judge", examples_per_level=0, llm=llm, judge=llm, rule="classic",
                    pulls_per_look=PULLS, pulls_at_once=at_once)  # fmt: skip
    arms = world.inputs(folder)
    evaluation = Evaluation(config, arms["arms"], arms["reward"], arms["oversampled"], arms["used_contexts"], folder)
    with open_ledger(f"sqlite:///{folder}/ledger.sqlite", "evaluate_prompts") as ledger:
        began = time.monotonic()
        evaluation.pull(1, [])
        seconds = time.monotonic() - began
        total = ledger.total()
    pulled = {(r["prompt_id"], r["context_id"]) for r in evaluation.rows}
    return {"seconds": seconds, "calls": total.calls, "pulls": len(evaluation.rows), "distinct": len(pulled),
            "ledger_usd": total.spent_usd, "bill_usd": endpoint.usd}  # fmt: skip


async def bare(endpoint: Endpoint, calls: int, concurrency: int) -> float:
    """Seconds for `calls` requests with nothing around them."""
    gate = asyncio.Semaphore(concurrency)
    async with httpx.AsyncClient(timeout=None) as client:

        async def one(i: int) -> None:
            async with gate:
                body = {"model": "m", "max_tokens": 96, "messages": [{"role": "user", "content": str(i)}]}
                await client.post(f"{endpoint.url}/chat/completions", json=body, headers={"Idempotency-Key": str(i)})

        began = time.monotonic()
        await asyncio.gather(*(one(i) for i in range(calls)))
        return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--at-once", type=int, default=100, help="pulls that the sampler chooses together")
    args = parser.parse_args()
    found = {}
    for name, faults in (("calm", {}), ("faulty", FAULTS)):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            answer = world.answers(read(world.inputs(folder)["arms"], ARMS), CONTEXTS)
            with serving(answer, latency_s=LATENCY_S, late_s=1.0, idempotent=True, fault=shares(faults)) as endpoint:
                found[name] = evaluate(folder, endpoint, args.concurrency, args.at_once)
                found[name]["requests"] = len(endpoint.requests)
                assert found[name]["pulls"] == found[name]["distinct"] == PULLS
                assert abs(found[name]["ledger_usd"] - endpoint.usd) < 0.005, found[name]
                assert max(endpoint.billed.values()) == 1
        with serving(lambda prompt: "가" * 60, latency_s=LATENCY_S) as endpoint:
            ideal = asyncio.run(bare(endpoint, found[name]["calls"], args.concurrency))
        found[name] |= {"ideal_seconds": ideal, "ratio": ideal / found[name]["seconds"]}
        print(name, {key: round(value, 4) for key, value in found[name].items()}, flush=True)
    print(json.dumps({"name": "evaluation_throughput", "concurrency": args.concurrency, "at_once": args.at_once,
                      "ratio_calm": found["calm"]["ratio"], "ratio_faulty": found["faulty"]["ratio"]}))  # fmt: skip


if __name__ == "__main__":
    main()
