"""Compare candidates by repeated, grouped cross-validation, and choose one by a stated rule."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.model_selection import GroupKFold

from components.train_reward.candidates import CANDIDATES, MEMBERS, fit
from memozy.reward import FLOOR

RULE = (
    "the simplest candidate whose mean squared error exceeds the lowest by at most one standard error of that excess "
    "(paired by row, clustered by group)"
)

MEASURES = ("mse", "mae", "r2", "spearman", "rho2")


@dataclass(frozen=True)
class Rows:
    """Training rows: cleaned texts and, (n,) each, their ratings, copies and groups."""

    texts: list[str]
    ratings: np.ndarray
    copies: np.ndarray
    groups: np.ndarray


def folds(groups: np.ndarray, k: int, repeats: int, seed: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(repeat, training rows, held-out rows): in every repeat each row is held out once, with its whole group."""
    for repeat in range(repeats):
        splitter = GroupKFold(k, shuffle=True, random_state=seed + repeat)
        for train, held_out in splitter.split(groups, groups=groups):
            yield repeat, train, held_out


def out_of_fold(rows: Rows, k: int, repeats: int, seed: int) -> dict[str, np.ndarray]:
    """What each candidate says of rows it was not fitted on, gates applied: name -> (repeats, n).

    Each fold fits every member once; a candidate is the mean of its members. `copies` count in the
    fitted part only.
    """
    said = {name: np.empty((repeats, len(rows.texts))) for name in CANDIDATES}
    for repeat, train, held_out in folds(rows.groups, k, repeats, seed):
        texts = [rows.texts[i] for i in train]
        model = fit(texts, rows.ratings[train], rows.copies[train], tuple(MEMBERS), seed)
        scores, shut = model.member_scores([rows.texts[i] for i in held_out])
        for name, members in CANDIDATES.items():
            if members:
                mean = np.mean([scores[m] for m in members], axis=0)
                said[name][repeat, held_out] = np.where(shut, FLOOR, mean)
            else:
                said[name][repeat, held_out] = model.mean
    return said


def choose(said: dict[str, np.ndarray], ratings: np.ndarray, groups: np.ndarray) -> str:
    """The champion by RULE, among candidates in the order of `said`, simplest first."""
    errors = {name: ((s - ratings) ** 2).mean(axis=0) for name, s in said.items()}  # (n,) each
    best = min(errors, key=lambda name: errors[name].mean())
    return next(n for n in errors if (d := errors[n] - errors[best]).mean() <= clustered_se(d, groups))


def clustered_se(values: np.ndarray, groups: np.ndarray) -> float:
    """Standard error of the mean of `values` (n,) when rows of one group are not independent."""
    _, index = np.unique(groups, return_inverse=True)
    sums = np.bincount(index, weights=values - values.mean())
    return float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / len(values))


def measure(said: np.ndarray, ratings: np.ndarray, constant: np.ndarray) -> dict[str, float]:
    """How good predictions are; r2 is the share of the constant's squared error that they remove.

    spearman and rho2 (Pearson's, squared) are 0 where nothing is ranked: a side does not vary, or it is the
    constant itself, whose value only differs between folds.
    """
    mse, constant_mse = float(((said - ratings) ** 2).mean()), float(((constant - ratings) ** 2).mean())
    ranks = np.ptp(said) > 0 and np.ptp(ratings) > 0 and not np.array_equal(said, constant)
    return {
        "mse": mse,
        "mae": float(np.abs(said - ratings).mean()),
        "r2": 1 - mse / constant_mse if constant_mse > 0 else 0.0,
        "spearman": float(spearmanr(said, ratings).statistic) if ranks else 0.0,
        "rho2": float(pearsonr(said, ratings).statistic ** 2) if ranks else 0.0,
        "constant_mse": constant_mse,
        "constant_mae": float(np.abs(constant - ratings).mean()),
        "n": len(ratings),
    }


def table(said: dict[str, np.ndarray], ratings: np.ndarray) -> list[dict]:
    """One row per candidate: its name and its measures, each the mean over repeats."""
    return [
        {"name": name} | {m: float(np.mean([r[m] for r in repeats])) for m in MEASURES}
        for name, repeats in (
            (name, [measure(s, ratings, c) for s, c in zip(said[name], said["constant"], strict=True)]) for name in said
        )
    ]
