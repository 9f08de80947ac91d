"""What a reward model is made of: regressors on features, and sequence models that read the text itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from memozy.reward.features import View

if TYPE_CHECKING:
    from memozy.reward.sequence import SequenceScorer


@dataclass(frozen=True)
class Member:
    """A fitted scikit-learn regressor, and the blocks of features it reads with their weights."""

    reads: dict[str, float]
    regressor: Any

    def predict(self, view: View) -> np.ndarray:
        """Scores in [-1, 1], (n,)."""
        return np.clip(self.regressor.predict(view.matrix(self.reads)).reshape(-1), -1.0, 1.0)


@dataclass(frozen=True)
class OrdinalMember:
    """P(rating > levels[k]) = sigmoid(x @ coefficients[:, k] + offsets[k]) for each level but the highest.

    levels: (L,), rising; coefficients: (d, L - 1); offsets: (L - 1,).
    """

    reads: dict[str, float]
    levels: np.ndarray
    coefficients: np.ndarray
    offsets: np.ndarray

    def predict(self, view: View) -> np.ndarray:
        """The mean rating of the distribution, in [-1, 1], (n,)."""
        above = 1 / (1 + np.exp(-(view.matrix(self.reads) @ self.coefficients + self.offsets)))  # (n, L - 1)
        return self.levels[0] + above @ np.diff(self.levels)


@dataclass(frozen=True)
class SequenceMember:
    """A fitted sequence model, which reads the text itself."""

    scorer: SequenceScorer
    reads: dict[str, float] = field(default_factory=dict)

    def predict(self, view: View) -> np.ndarray:
        """Scores in [-1, 1], (n,)."""
        return np.clip(self.scorer.predict(view.features.texts), -1.0, 1.0)
