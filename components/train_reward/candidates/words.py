"""Ordinal regression on characters, word stems, morphemes and their sequences: what is said, where ratings are thousands."""

from components.train_reward.candidates import Training
from components.train_reward.candidates.ordinal import fit_levels
from memozy.reward.members import OrdinalMember

READS = {"surface": 0.05, "grams": 1.0, "stems": 1.0, "morphemes": 1.0, "embedding": 0.3}


def fit(training: Training) -> OrdinalMember:
    return fit_levels(training, READS, strength=2.0)
