"""The mean rating, whatever the text: what every other candidate has to beat."""

import numpy as np

MEMBERS = ()


def weigh(names: tuple[str, ...], said: np.ndarray, ratings: np.ndarray) -> np.ndarray:
    return np.zeros(0)
