"""Stage `train_ppo`: PPO teaches the policy to write prompts whose diaries the reward model likes."""

import json
import math

from safetensors.torch import load_file

from components.train_ppo.config import Config
from components.train_ppo.environment import PromptDiary
from components.train_ppo.policy import Policy
from components.train_ppo.ppo import PPO
from memozy import ledger
from memozy.llm import open_llm
from memozy.modeling import LanguageModel, save_tensors
from memozy.records import QUERIES, InputError, read_contexts, read_jsonl, write_jsonl
from memozy.reward import RewardModel, ScoreCache
from memozy.stages import In, Out, Progress, Result, Work


def run(config: Config, *, sft: In, reward: In, policy: Out, curves: Out, samples: Out, work: Work) -> Result:
    """Read the SFT model and the reward model; write the trained `policy`, its `curves` and `samples`.

    sft: folder with `model/` and `queries.jsonl`. policy: folder with `model/` (the adapter merged into
    plain weights) and the same queries. The policy kept is the one after the update with
    the highest smoothed score among those whose KL was within the target. Killed, it goes on from the last
    whole update; the calls of the update that was cut short are in the ledger. Raises InputError when an
    update's numbers are not finite.
    """
    queries = read_jsonl(sft / "queries.jsonl", QUERIES)["query"].to_list()
    contexts = read_contexts(config.contexts, config.n_contexts).to_dicts()
    judge = RewardModel.load(reward, ScoreCache(work / "scores.sqlite"))
    environment = PromptDiary(
        open_llm(config.llm), judge, contexts, config.contexts_per_prompt, config.seed, config.pessimism
    )
    ppo = PPO(
        Policy(LanguageModel.load(sft / "model"), config.lora_rank, config.seed), queries, environment.score, config
    )

    rows: list[dict] = []
    shown: list[dict] = []
    checkpoint = work / "checkpoint.json"
    if checkpoint.exists():
        saved = json.loads(checkpoint.read_text(encoding="utf-8"))
        rows, shown = saved["rows"], saved["samples"]
        ppo.load_state(load_file(work / saved["weights"]), saved["numbers"])
    else:
        save_tensors(ppo.state()[0], work / "update-0.safetensors")
    progress = Progress("train_ppo", config.updates, "updates", start=len(rows))
    for update in range(len(rows), config.updates):
        before = spent_usd()
        numbers, sampled = ppo.step(update)
        numbers["cost_usd"] = spent_usd() - before
        diverged = [name for name, value in numbers.items() if not math.isfinite(value)]
        if diverged:  # nothing is kept of this update
            raise InputError(f"PPO diverged in update {update}: {diverged[0]} is not finite", field="ppo.learning_rate",
                             value=config.learning_rate, remedy="Lower it")  # fmt: skip
        rows.append(numbers)
        shown += sampled
        _save(ppo, work, rows, shown, update)
        progress.advance(score=numbers["objective/score"], KL=numbers["objective/kl"])

    best = best_update([r["objective/score"] for r in rows], [r["objective/kl"] for r in rows], config.kl_target)
    tensors = load_file(work / f"update-{best}.safetensors")
    ppo.load_state(tensors, {"kl_coef": ppo.kl_coef})
    merged = LanguageModel(ppo.policy.peft.merge_and_unload(), ppo.policy.lm.tokenizer)
    merged.save(policy / "model")
    (policy / "queries.jsonl").write_bytes((sft / "queries.jsonl").read_bytes())
    rows[best]["kept"] = 1.0
    write_jsonl(rows, curves)
    write_jsonl(shown, samples)
    return Result(
        {
            "updates": len(rows), "kept_update": best,
            "score_first": rows[0]["objective/score"], "score_kept": rows[best]["objective/score"],
            "kl_kept": rows[best]["objective/kl"], "kl_target": config.kl_target,
        },
        curves=rows,
    )  # fmt: skip


def spent_usd() -> float:
    """What this stage has spent so far, by the ledger."""
    book = ledger.current()
    return book.total(book.stage).spent_usd


def best_update(scores: list[float], kls: list[float], target: float) -> int:
    """How many updates to keep: the row with the best score, smoothed over three, among those with KL within the target.

    Row u is measured on rollouts of the policy that u updates have made; row 0 is the untrained one, whose KL is 0.
    """
    smooth = [sum(scores[max(0, u - 1) : u + 2]) / len(scores[max(0, u - 1) : u + 2]) for u in range(len(scores))]
    allowed = [u for u in range(len(scores)) if kls[u] <= target]
    return max(allowed or [0], key=lambda u: smooth[u])


def _save(ppo: PPO, work, rows: list[dict], samples: list[dict], update: int) -> None:
    """The state after `update`; the JSON is renamed into place last, so a kill leaves the older checkpoint whole."""
    tensors, numbers = ppo.state()
    name = f"update-{update + 1}.safetensors"
    save_tensors(tensors, work / name)
    scratch = work / "checkpoint.tmp"
    scratch.write_text(
        json.dumps({"rows": rows, "samples": samples, "numbers": numbers, "weights": name}), encoding="utf-8"
    )
    scratch.replace(work / "checkpoint.json")
