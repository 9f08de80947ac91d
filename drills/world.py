"""What drills and benchmarks of the evaluation share: three prompts, and an endpoint that writes and judges by them.

The endpoint writes each prompt's diary as the micro-world's teacher would, the same one whenever it is asked, and
grades a diary by the raters' rubric with a bias of its own. So two evaluations differ only by what befell them.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

import polars as pl

from memozy.records import ARMS, OVERSAMPLED, fill, read_contexts, write, write_jsonl
from microworld.instructions import template
from microworld.raters import quality, to_level
from microworld.writer import write_diary
from tests.endpoint import judged

ARM_KEYS = {
    "A": ("polite", "short"),
    "rich": ("closing", "companion", "detail", "medium", "no_heading", "plain", "sensory"),
    "plain": ("medium", "plain"),
}
CONTEXTS = "data/evaluation_contexts.jsonl"


def inputs(folder: Path) -> dict[str, Path]:
    """The stage's input artifacts, but for the reward model: nothing was used for writing, and nobody has rated yet."""
    rng = random.Random(1)
    arms = [{"prompt_id": p, "template": template(keys, rng), "parent_prompt_id": None, "origin": "drill"} for p, keys in ARM_KEYS.items()]
    write(pl.DataFrame(arms, schema=ARMS.dtypes), folder / "arms", ARMS)
    write_jsonl([], folder / "used_contexts")
    write(pl.DataFrame(schema=OVERSAMPLED.dtypes), folder / "oversampled", OVERSAMPLED)
    (folder / "reward").mkdir(exist_ok=True)
    return {name: folder / name for name in ("arms", "used_contexts", "oversampled", "reward")}


def answers(arms: pl.DataFrame, n_contexts: int) -> Callable[[str], str]:
    """From any prompt of the evaluation to the endpoint's answer: a diary, or a grade as JSON."""
    contexts = read_contexts(CONTEXTS, n_contexts).to_dicts()
    written, context_of = {}, {}
    for prompt_id, text in arms.select("prompt_id", "template").iter_rows():
        for context in contexts:
            prompt = fill(text, context)
            diary = write_diary(ARM_KEYS[prompt_id], context, random.Random(prompt))
            written[prompt], context_of[diary] = diary, context

    def answer(prompt: str) -> str:
        if prompt in written:
            return written[prompt]
        diary = judged(prompt)
        noise = random.Random(diary).gauss(0.1, 0.3)
        return json.dumps({"reason": "까닭", "rating": to_level(quality(diary, context_of[diary]) + noise)}, ensure_ascii=False)

    return answer
