"""The learning curve: is more rating worth paying for?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components.train_reward import metrics, procedure
from components.train_reward.config import Config
from components.train_reward.procedure import Candidate, Plan, Rows

SHARES = (0.25, 0.4, 0.55, 0.7, 0.85, 1.0)  # of the training groups, along the learning curve
LEAST_GROUPS = 20  # with fewer the smallest share says nothing


def curve(rows: Rows, champion: Candidate, the_plan: Plan, config: Config, work: Path) -> dict | None:
    """The learning curve of the champion and what twice the ratings should bring; None with too few groups."""
    if len(np.unique(rows.groups)) < LEAST_GROUPS or not champion.members:
        return None
    measured = points(rows, champion, the_plan, config, SHARES, work)
    fitted = metrics.learning_curve_fit([p["n_rows"] for p in measured], [p["mse"] for p in measured])
    worth = ("More ratings are worth paying for" if fitted.gain.low > 0.002 else
             "More ratings would hardly help" if fitted.gain.high < 0.005 else "Whether more ratings help is not clear")  # fmt: skip
    sentence = (f"{worth}: twice as many would bring the MSE from {fitted.now:.3f} to about {fitted.doubled:.3f} "
                f"(a gain of {fitted.gain.low:.3f} to {fitted.gain.high:.3f}).")  # fmt: skip
    return {"points": measured, "floor": fitted.floor, "scale": fitted.scale, "exponent": fitted.exponent,
            "gain": list(fitted.gain), "sentence": sentence}  # fmt: skip


def points(rows: Rows, candidate: Candidate, the_plan: Plan, config: Config, shares: Sequence[float],
           work: Path) -> list[dict]:  # fmt: skip
    """How the candidate does when it learns from fewer groups: rows {share, n_rows, mse}, by cross-validation.

    Each fold's training groups are cut to every share in one order, so that a larger share holds the smaller ones.
    Combinations weigh their members equally here, which spares the inner folds, and there is no gate.
    """
    from joblib import Parallel, delayed

    needed = Plan((candidate,), {m: the_plan.members[m] for m in candidate.members})
    jobs = [(share, train, held, seed) for seed, (_, _, train, held) in enumerate(
        procedure.folds(rows.groups, config.folds, min(config.repeats, 2), config.seed)) for share in shares]  # fmt: skip
    done = Parallel(n_jobs=procedure.workers(needed))(delayed(_curve_point)(rows, *job, needed, config, work) for job in jobs)
    return [
        {"share": share,
         "n_rows": float(np.mean([n for (s, *_), (n, _) in zip(jobs, done, strict=True) if s == share])),
         "mse": float(np.mean(np.concatenate([e for (s, *_), (_, e) in zip(jobs, done, strict=True) if s == share])))}
        for share in shares
    ]  # fmt: skip


def _curve_point(rows: Rows, share: float, train: np.ndarray, held: np.ndarray, seed: int, needed: Plan, config: Config,
                 work: Path) -> tuple[int, np.ndarray]:  # fmt: skip
    order = np.random.default_rng([config.seed, seed]).permutation(np.unique(rows.groups[train]))
    kept = order[: max(2, round(share * len(order)))]
    few = train[np.isin(rows.groups[train], kept)]
    with procedure.one_thread(needed.members):
        votes = procedure.vote(rows.take(few), rows.features.take(held), needed, config, work)
    score = votes.mean(axis=0) if len(votes) else np.full(len(held), rows.ratings[few].mean())
    return len(few), (score - rows.ratings[held]) ** 2
