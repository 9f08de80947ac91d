"""Ratings and who gave them to what, as numbers and codes."""

from collections.abc import Sequence

import numpy as np

Labels = Sequence[str] | Sequence[int] | np.ndarray


def ratings(value: Sequence[float] | np.ndarray) -> np.ndarray:
    """The ratings as floats, [n]. Raises ValueError for none, another shape, or one that is not finite."""
    y = np.asarray(value, dtype=float)
    if y.ndim != 1 or not len(y) or not np.isfinite(y).all():
        raise ValueError(f"ratings must be finite numbers, [n] with n > 0; got shape {y.shape}")
    return y


def codes(labels: Labels, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The different labels, sorted, and the index among them of each, [n]. Raises ValueError for another length."""
    if len(labels) != n:
        raise ValueError(f"{n} ratings need as many labels; got {len(labels)}")
    return np.unique(np.asarray(labels), return_inverse=True)


def table(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How often each pair of codes occurs, [A, B]."""
    shape = a.max() + 1, b.max() + 1
    return np.bincount(a * shape[1] + b, minlength=shape[0] * shape[1]).reshape(shape).astype(float)
