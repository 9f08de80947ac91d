"""Stage `reveal_truth`: where everything is simulated, what a rater without bias or noise says of the arms and policies."""

import json

import numpy as np

from components.reveal_truth.config import Config
from components.reveal_truth.truth import arm_truth, policy_truth
from memozy import policies
from memozy.llm import ChatModel, open_llm
from memozy.records import ARMS, CONTEXTS, SLOTS, fill, read, read_jsonl, template_fault
from memozy.stages import In, Out, Progress, Result
from microworld.contexts import sample_contexts
from microworld.raters import true_rating

_SEED = 7_919  # fresh contexts and diaries, shared with no other stage


def run(config: Config, *, arms: In, sft: In, policy: In, decision: In, truth: Out) -> Result:
    """Write `truth` (JSON): every arm's true mean over fresh diaries, and SFT's prompts against PPO's.

    Nothing decided in the run depends on it. With `diaries_per_arm` 0 it writes `{}`.
    """
    if config.diaries_per_arm == 0:
        truth.write_text("{}", encoding="utf-8")
        return Result()
    decided = json.loads(decision.read_text(encoding="utf-8"))
    templates = dict(read(arms, ARMS).select("prompt_id", "template").iter_rows())
    contexts, llm = fresh_contexts(config), open_llm(config.llm)
    rated = _rate(llm, config.seed, list(templates.values()), [contexts] * len(templates))
    found = arm_truth(dict(zip(templates, rated, strict=True)), decided["prompt_id"])
    true = {a["prompt_id"]: a["true_mean"] for a in found["arms"]}
    better = decided["decision"] != "adopt" or true[decided["prompt_id"]] > true[decided["incumbent"]]
    found["agrees"] = found["gap"] <= decided["epsilon"] and better

    sampling = {"max_new_tokens": config.max_new_tokens, "temperature": config.temperature}
    own = np.array_split(np.array(contexts), config.policy_prompts)  # no two prompts are judged on the same contexts
    own = [list(part[: config.contexts_per_prompt]) for part in own]
    means = []
    for folder in (sft, policy):
        written = policies.sample(folder, config.policy_prompts, seed=_SEED + config.seed, **sampling)
        means.append(np.array([r.mean() for r in _rate(llm, config.seed, written, own)]))
    found["policy"] = policy_truth(*means)
    truth.write_text(json.dumps(found, ensure_ascii=False, indent=1), encoding="utf-8")
    return Result({"gap": found["gap"], "agrees": float(found["agrees"]), "policy_sigmas": found["policy"]["sigmas"],
                   "policy_difference": found["policy"]["difference"]})  # fmt: skip


def fresh_contexts(config: Config) -> list[dict]:
    """`diaries_per_arm` contexts of the micro-world, none of which the run was trained on."""
    seen = set(read_jsonl(config.seen, CONTEXTS).select(SLOTS).iter_rows())
    drawn = sample_contexts(config.diaries_per_arm + len(seen), seed=_SEED + config.seed, prefix="t")
    return [c for c in drawn if tuple(c[s] for s in SLOTS) not in seen][: config.diaries_per_arm]


def _rate(llm: ChatModel, seed: int, templates: list[str], contexts: list[list[dict]]) -> list[np.ndarray]:
    """Every template's true ratings of freshly written diaries, one per context of its own; with a fault, -1 each."""
    asked = [(i, c) for i, t in enumerate(templates) if template_fault(t) is None for c in contexts[i]]
    written = llm.complete([fill(templates[i], c) for i, c in asked], _SEED + seed,
                           Progress("reveal_truth", len(asked), "diaries"))  # fmt: skip
    ratings: list[list[float]] = [[] for _ in templates]
    for (i, c), diary in zip(asked, written, strict=True):
        ratings[i].append(true_rating(diary.text, c))
    return [np.array(r or [-1.0] * len(contexts[i])) for i, r in enumerate(ratings)]
