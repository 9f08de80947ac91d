"""What an evaluation does next, from nothing but its pulls. Shapes: K arms, N contexts.

Every arm walks through the contexts in the same order, so that arms share contexts (the blocks of the
estimate) although some walk further than others.
"""

from collections.abc import Sequence

import numpy as np

from components.evaluate_prompts.samplers import UCB1, State, allocate

LEAST = 5  # ratings every arm gets in a round, so that no arm is judged unseen


def matrices(
    rows: Sequence[dict], arms: Sequence[str], contexts: Sequence[str], upto: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and human ratings after round `upto`, both [K, N]; NaN where not pulled, or not rated by then."""
    scores = np.full((len(arms), len(contexts)), np.nan)
    ratings = scores.copy()
    arm_at, context_at = {a: k for k, a in enumerate(arms)}, {c: i for i, c in enumerate(contexts)}
    for row in rows:
        if row["round"] <= upto:
            at = arm_at[row["prompt_id"]], context_at[row["context_id"]]
            scores[at] = row["score"]
            if row["rated_round"] is not None and row["rated_round"] <= upto:
                ratings[at] = row["human_rating"]
    return scores, ratings


def next_pulls(sampler: UCB1, scores: np.ndarray, n: int) -> list[tuple[int, int]]:
    """The next `n` pulls as (arm, context), fewer where the contexts run out.

    They are chosen together: a pull on its way counts as one more of its arm at the arm's present mean.
    """
    pulled = ~np.isnan(scores)
    state = State(pulled.sum(axis=1), np.where(pulled, scores, 0).sum(axis=1))
    chosen: list[tuple[int, int]] = []
    while len(chosen) < n:
        open_ = state.n < scores.shape[1]
        if not open_.any():
            break
        index = np.flatnonzero(open_)
        arm = int(index[sampler.select(State(state.n[index], state.total[index]))])
        chosen.append((arm, int(state.n[arm])))
        mean = state.total[arm] / state.n[arm] if state.n[arm] else 0.0
        state = state.after(arm, mean)
    return chosen


def next_ratings(
    mean: np.ndarray, scores: np.ndarray, ratings: np.ndarray, n: int, epsilon: float
) -> list[tuple[int, int]]:
    """Which pulled diaries to have rated, as (arm, context): `allocate`'s shares, each arm's first unrated contexts."""
    open_ = ~np.isnan(scores) & np.isnan(ratings)  # [K, N]
    shares = allocate(mean, (~np.isnan(ratings)).sum(axis=1), n, epsilon=epsilon, least=LEAST, room=open_.sum(axis=1))
    return [(arm, int(i)) for arm, share in enumerate(shares) for i in np.flatnonzero(open_[arm])[:share]]
