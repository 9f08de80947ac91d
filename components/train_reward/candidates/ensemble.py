"""The plain mean of members that read a text in different ways: what one falls for, the others do not."""

import numpy as np

MEMBERS = ("ordinal", "kernel", "trees")


def weigh(names: tuple[str, ...], said: np.ndarray, ratings: np.ndarray) -> np.ndarray:
    return np.full(len(names), 1 / len(names))
