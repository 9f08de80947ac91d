"""Stage `generate_diaries`: the LLM writes diaries that people will rate."""

import hashlib
from datetime import UTC, datetime

import polars as pl

from components.generate_diaries.assignment import assign
from components.generate_diaries.config import Config
from memozy.llm import complete_all, open_llm
from memozy.records import ARMS, CONTEXTS, DIARIES, check_template, fill, read_contexts, read_jsonl, write
from memozy.stages import Out, Progress, Result, Work


def run(config: Config, *, diaries: Out, contexts: Out, work: Work) -> Result:
    """Read contexts and prompts (JSONL), write `diaries` and the `contexts` they show (Parquet).

    Raises InputError for a template with a fault, or fewer contexts than asked for.
    """
    prompts = read_jsonl(config.prompts, ARMS)
    for row, template in enumerate(prompts["template"], start=1):
        check_template(template, config.prompts, row)
    templates = dict(zip(prompts["prompt_id"], prompts["template"], strict=True))
    shown = read_contexts(config.contexts, config.n_contexts)
    by_id = {c["context_id"]: c for c in shown.to_dicts()}

    pairs = assign(list(by_id), list(templates), config.per_context, config.seed)
    llm = open_llm(config.llm)
    completions = complete_all(
        llm, [fill(templates[p], by_id[c]) for c, p in pairs], config.seed, work / "diaries.jsonl",
        Progress("generate_diaries", len(pairs), "diaries"),
    )  # fmt: skip
    now = datetime.now(UTC).isoformat(timespec="seconds")
    rows = [
        {
            "diary_id": "d" + hashlib.sha256(f"{n}|{c}|{p}|{llm.name}|{done.text}".encode()).hexdigest()[:12],
            "context_id": c, "prompt_id": p, "generator": llm.name, "text": done.text, "cost_usd": done.cost_usd,
            "created_at": now,
        }
        for n, ((c, p), done) in enumerate(zip(pairs, completions, strict=True))
    ]  # fmt: skip
    write(pl.DataFrame(rows), diaries, DIARIES)
    write(shown, contexts, CONTEXTS)
    return Result({"n_diaries": len(rows), "n_contexts": len(by_id), "n_prompts": len(templates),
                   "cost_usd": sum(r["cost_usd"] for r in rows)})  # fmt: skip
