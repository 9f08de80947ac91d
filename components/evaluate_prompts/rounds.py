"""What an evaluation knows and does next, from nothing but its pulls. Shapes: K arms, N contexts.

Every arm walks through the contexts in the same order, so that arms share contexts (the blocks of the
estimate) although some walk further than others.
"""

from collections.abc import Sequence

import numpy as np

from components.evaluate_prompts.allocation import allocate
from components.evaluate_prompts.estimate import Ratings
from components.evaluate_prompts.samplers import Sampler, State

LEAST = 2  # ratings every arm gets in a round, so that no arm is judged unseen
UNREAD = 0.0  # the score of a diary of which the scorer said nothing: the estimate holds for any fixed number


def observed(
    rows: Sequence[dict], arms: Sequence[str], contexts: Sequence[str], upto: int
) -> tuple[np.ndarray, Ratings, list[str]]:
    """Scores after round `upto`, [K, N] with NaN where not pulled; the human ratings by then; the raters' names, sorted."""
    arm_at, context_at = {a: k for k, a in enumerate(arms)}, {c: i for i, c in enumerate(contexts)}
    rated = [r for r in rows if r["rater_id"] is not None and r["round"] <= upto]
    names = sorted({r["rater_id"] for r in rated})
    rater_at = {name: j for j, name in enumerate(names)}
    scores = np.full((len(arms), len(contexts)), np.nan)
    for row in rows:
        if row["rater_id"] is None and row["round"] <= upto:
            at = arm_at[row["prompt_id"]], context_at[row["context_id"]]
            scores[at] = UNREAD if row["score"] is None else row["score"]
    ratings = Ratings(
        arm=np.array([arm_at[r["prompt_id"]] for r in rated], dtype=int),
        context=np.array([context_at[r["context_id"]] for r in rated], dtype=int),
        rater=np.array([rater_at[r["rater_id"]] for r in rated], dtype=int),
        value=np.array([r["human_rating"] for r in rated], dtype=float),
    )
    return scores, ratings, names


def next_pulls(sampler: Sampler, scores: np.ndarray, n: int) -> list[tuple[int, int]]:
    """The next `n` pulls as (arm, context), fewer where the contexts run out.

    They are chosen together: a pull on its way counts as one more of its arm at the arm's present mean.
    """
    state = State.of(scores)
    chosen: list[tuple[int, int]] = []
    while len(chosen) < n:
        open_ = np.flatnonzero(state.n < scores.shape[1])
        if not len(open_):
            break
        arm = int(open_[sampler.select(state.only(open_))])
        chosen.append((arm, int(state.n[arm])))
        state = state.awaiting(arm)
    return chosen


def next_ratings(
    mean: np.ndarray, open_: np.ndarray, n_rated: np.ndarray, n: int, epsilon: float
) -> list[tuple[int, int]]:
    """Which `n` diaries to have rated, as (arm, context): `allocate`'s shares, each arm's first open contexts.

    mean: [K]; open_: whether a diary can be asked about, [K, N]; n_rated: diaries rated so far, [K].
    """
    shares = allocate(mean, n_rated, n, epsilon=epsilon, least=LEAST, room=open_.sum(axis=1))
    return [(arm, int(i)) for arm, share in enumerate(shares) for i in np.flatnonzero(open_[arm])[:share]]


def raters_of(context: int, raters: Sequence[str], double_rated: float) -> list[str]:
    """Who rates the context at this place of the order: one rater in turn, and of some contexts another one too.

    All arms' diaries of a context go to the same people, so that a rater's bias meets every arm alike. Second raters
    change from one such context to the next, so that everyone shares diaries with everyone.
    """
    first, doubled = context % len(raters), int(context * double_rated)  # so many contexts before it are rated twice
    if int((context + 1) * double_rated) == doubled:
        return [raters[first]]
    return [raters[first], raters[(first + 1 + doubled % (len(raters) - 1)) % len(raters)]]
