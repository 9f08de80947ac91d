"""Stage `propose_prompts`: the policies write challengers to the incumbent prompt."""

import hashlib
import random

import numpy as np
import polars as pl

from components.propose_prompts.challengers import choose, usable
from components.propose_prompts.config import Config
from memozy.llm import complete_all, open_llm
from memozy.modeling import sample_policy
from memozy.records import ARMS, InputError, check_template, fill, read_contexts, read_jsonl, write
from memozy.reward import RewardModel, ScoreCache
from memozy.stages import In, Out, Progress, Result, Work


def run(config: Config, *, sft: In, policy: In, reward: In, arms: Out, work: Work) -> Result:
    """Sample prompts from the SFT and the PPO policy, score them, and write the `arms`: the incumbent, then challengers.

    Raises InputError when no usable prompt was sampled at all.
    """
    incumbent = read_jsonl(config.prompts, ARMS).row(0, named=True)
    check_template(incumbent["template"], config.prompts, 1)
    known = [incumbent["template"]]
    sampling = {"max_new_tokens": config.max_new_tokens, "temperature": config.temperature}
    by_sft = usable(sample_policy(sft, config.candidates, seed=2 * config.seed, **sampling), known)
    by_ppo = usable(sample_policy(policy, config.candidates, seed=2 * config.seed + 1, **sampling), known)
    if not by_sft and not by_ppo:
        raise InputError(f"none of {2 * config.candidates} sampled prompts keeps every slot", field="proposals.candidates",
                         value=config.candidates, remedy="Train sft for more steps, or sample more")  # fmt: skip

    contexts = read_contexts(config.contexts, config.n_contexts).to_dicts()
    shared = random.Random(config.seed).sample(contexts, config.contexts_per_prompt)
    templates = [*by_sft, *by_ppo, *known]
    prompts = [fill(t, c) for t in templates for c in shared]
    written = complete_all(open_llm(config.llm), prompts, config.seed, work / "diaries.jsonl",
                           Progress("propose_prompts", len(prompts), "diaries"))  # fmt: skip
    each, _ = RewardModel.load(reward, ScoreCache(work / "scores.sqlite")).score([w.text for w in written])
    scores = each.reshape(len(templates), len(shared)).mean(axis=1)

    n = len(by_sft)
    challengers = choose(by_sft, scores[:n], by_ppo, scores[n:-1])
    rows = [incumbent] + [
        {"prompt_id": "p" + hashlib.sha256(t.encode()).hexdigest()[:8], "template": t,
         "parent_prompt_id": incumbent["prompt_id"], "origin": origin}
        for origin, t in challengers
    ]  # fmt: skip
    write(pl.DataFrame(rows, schema=ARMS.dtypes), arms, ARMS)
    return Result({
        "n_arms": len(rows), "usable_sft": len(by_sft) / config.candidates, "usable_ppo": len(by_ppo) / config.candidates,
        "score_incumbent": float(scores[-1]), "score_sft": _mean(scores[:n]), "score_ppo": _mean(scores[n:-1]),
        "cost_usd": sum(w.cost_usd for w in written),
    })  # fmt: skip


def _mean(scores: np.ndarray) -> float:
    return float(scores.mean()) if len(scores) else -1.0
