"""The micro-world's raters at work: they see a diary's text and its context, and nothing else."""

import random
from collections.abc import Iterable, Mapping

from memozy.records import SIMULATED
from microworld.raters import PANEL


def rate(diaries: Iterable[dict], contexts: Mapping[str, dict], per_diary: int, double_rated: float, seed: int) -> list[dict]:  # fmt: skip
    """RATINGS rows: `per_diary` distinct raters a diary, one more for about a share `double_rated` of them.

    Who rates what, and how, hangs on `seed` and the diary's id alone, not on which diaries came
    before. Raises ValueError when more raters are asked for than the panel has.
    """
    if per_diary > len(PANEL):
        raise ValueError(f"the panel has {len(PANEL)} raters; asked for {per_diary}")
    ratings = []
    for diary in diaries:
        draw = random.Random(f"{seed}|{diary['diary_id']}")
        n = min(per_diary + (draw.random() < double_rated), len(PANEL))
        for rater in draw.sample(PANEL, n):
            level = rater.rate(diary["text"], contexts[diary["context_id"]], f"{seed}|{diary['diary_id']}")
            ratings.append({"diary_id": diary["diary_id"], "rater_id": rater.rater_id, "rating": level,
                            "source": SIMULATED, "rated_at": None})  # fmt: skip
    return ratings
