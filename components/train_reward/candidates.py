"""What may become the reward model. A new member is one function and one line; so is a new candidate."""

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from memozy.reward import Gate, Member, Reading, RewardModel, surface_features


def ridge(seed: int) -> Member:
    """Linear: the most from few ratings, but it extrapolates."""
    return Member("all", Ridge(alpha=3.0))


def kernel(seed: int) -> Member:
    """RBF kernel ridge: far from every rated text it falls back to 0. Like an SVR, but it scores ten times faster."""
    return Member("all", KernelRidge(kernel="rbf", gamma=0.1, alpha=0.3))


def trees(seed: int) -> Member:
    """Extremely randomised trees on the surface only: they never leave the range of the ratings."""
    return Member("surface", ExtraTreesRegressor(100, min_samples_leaf=3, max_features=0.4, random_state=seed))


MEMBERS = {"ridge": ridge, "kernel": kernel, "trees": trees}

# name -> its members, whose mean it says; simplest first. Without members: the mean rating.
CANDIDATES = {
    "constant": (),
    "ridge": ("ridge",),
    "kernel": ("kernel",),
    "trees": ("trees",),
    "ensemble": ("ridge", "kernel", "trees"),
}


def fit(texts: list[str], ratings: np.ndarray, copies: np.ndarray, members: tuple[str, ...], seed: int,
        residual_sd: float = 0.0) -> RewardModel:  # fmt: skip
    """A reward model of `members`, each row counting `copies` times. texts are cleaned; arrays are (n,).

    `mean` counts every row once: oversampling would only weaken the baseline that it is.
    """
    surface = surface_features(texts)
    characters = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), min_df=2, sublinear_tf=True).fit(texts)
    reading = Reading(characters, StandardScaler().fit(surface))
    blocks = reading.blocks(texts, surface)
    fitted = {name: MEMBERS[name](seed) for name in members}
    for member in fitted.values():
        member.regressor.fit(blocks[member.reads], ratings, sample_weight=copies)
    return RewardModel(reading, fitted, Gate.around(surface), float(ratings.mean()), residual_sd)
