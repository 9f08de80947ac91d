"""Which prompt writes which context."""

import random
from collections.abc import Sequence


def assign(context_ids: Sequence[str], prompt_ids: Sequence[str], per_context: int, seed: int) -> list[tuple[str, str]]:
    """(context_id, prompt_id) pairs, `per_context` for each context.

    The incumbent, first of `prompt_ids`, writes half of them, rounded up; the rest are drawn without
    replacement from the others, so that the raters see good and bad ways to write and the reward
    model learns more than the incumbent's habits. With no others the incumbent writes all. The draw
    hangs on `seed` and the context's id alone: contexts that come later change nothing for this one.
    """
    incumbent, others = prompt_ids[0], list(prompt_ids[1:])
    pairs = []
    for context_id in context_ids:
        draw = random.Random(f"{seed}|{context_id}")
        by_others = draw.sample(others, min(len(others), per_context // 2))
        pairs += [(context_id, p) for p in [incumbent] * (per_context - len(by_others)) + by_others]
    return pairs
