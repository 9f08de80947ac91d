"""Stage `reveal_truth`: where everything is simulated, what a rater without bias or noise says of the arms and policies."""

import json
from pathlib import Path

import numpy as np

from components.reveal_truth.config import Config
from components.reveal_truth.truth import arm_truth, policy_truth
from memozy.llm import complete_all, open_llm
from memozy.modeling import sample_policy
from memozy.records import ARMS, fill, read, template_fault
from memozy.stages import In, Out, Progress, Result, Work
from microworld.contexts import sample_contexts
from microworld.raters import true_rating

_SEED = 7_919  # fresh contexts and diaries, shared with no other stage


def run(config: Config, *, arms: In, sft: In, policy: In, decision: In, truth: Out, work: Work) -> Result:
    """Write `truth` (JSON): every arm's true mean over fresh diaries, and SFT's prompts against PPO's.

    Nothing decided in the run depends on it. With `diaries_per_arm` 0 it writes `{}`.
    """
    if config.diaries_per_arm == 0:
        truth.write_text("{}", encoding="utf-8")
        return Result()
    decided = json.loads(decision.read_text(encoding="utf-8"))
    templates = dict(read(arms, ARMS).select("prompt_id", "template").iter_rows())
    contexts = sample_contexts(config.diaries_per_arm, seed=_SEED + config.seed, prefix="t")
    rated = _rate(config, list(templates.values()), contexts, work / "arms.jsonl")
    found = arm_truth(dict(zip(templates, rated, strict=True)), decided["prompt_id"])
    found["agrees"] = found["gap"] <= decided["epsilon"]

    sampling = {"max_new_tokens": config.max_new_tokens, "temperature": config.temperature}
    few = contexts[: config.contexts_per_prompt]
    means = []
    for name, folder in (("sft", sft), ("ppo", policy)):
        written = sample_policy(folder, config.policy_prompts, seed=_SEED + config.seed, **sampling)
        means.append(_rate(config, written, few, work / f"{name}.jsonl").mean(axis=1))
    found["policy"] = policy_truth(*means)
    truth.write_text(json.dumps(found, ensure_ascii=False, indent=1), encoding="utf-8")
    return Result({"gap": found["gap"], "agrees": float(found["agrees"]), "policy_sigmas": found["policy"]["sigmas"],
                   "policy_difference": found["policy"]["difference"]})  # fmt: skip


def _rate(config: Config, templates: list[str], contexts: list[dict], journal: Path) -> np.ndarray:
    """True ratings [templates, contexts] of freshly written diaries; a template with a fault is worth -1."""
    usable = [i for i, t in enumerate(templates) if template_fault(t) is None]
    prompts = [fill(templates[i], c) for i in usable for c in contexts]
    written = complete_all(open_llm(config.llm), prompts, _SEED + config.seed, journal,
                           Progress("reveal_truth", len(prompts), "diaries"))  # fmt: skip
    ratings = np.full((len(templates), len(contexts)), -1.0)
    true = [true_rating(w.text, c) for w, c in zip(written, contexts * len(usable), strict=True)]
    ratings[usable] = np.reshape(true, (len(usable), len(contexts)))
    return ratings
