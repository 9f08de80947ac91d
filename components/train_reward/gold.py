"""The gold model: what a policy's training is held against, and never trained on.

A policy that maximises a reward model ends by maximising its mistakes: the score goes on rising while what people
would say falls (Gao et al. 2023, arXiv 2210.10760). Who makes other mistakes can see it. So the gold model shares with
the champion neither rows nor family: it is fitted on the test rows, when the champion's figures have been taken from
them, and by nearest neighbours, which never compete. Its own figures come from the training rows, which it never saw.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.train_reward import evidence, neighbours, procedure
from components.train_reward.config import Config
from components.train_reward.procedure import Candidate, Plan, Rows, Said
from memozy.reward import RewardModel


def make(rows: Rows, config: Config, work: Path) -> RewardModel:
    """The gold model of `rows`, which are of two groups or more; calibrated out of fold."""
    name = "neighbours"
    candidate = Candidate(name, (name,), lambda *_: np.ones(1))
    plan = Plan((candidate,), {name: (neighbours, False)})
    said = np.zeros((1, len(rows.ratings)))
    k = min(config.folds, len(np.unique(rows.groups)))
    for _, fold, fitted, held in procedure.folds(rows.groups, k, 1, config.seed):
        said[:, held] = procedure.vote(rows.take(fitted), rows.features.take(held), plan, config, work / str(fold))
    once = config.model_copy(update={"repeats": 1})
    return procedure.finish(rows, candidate, plan, Said({}, {name: said}), once, work)


def told(model: RewardModel, fitted: Rows, unseen: Rows, config: Config) -> dict:
    """What the card says of it: on how much it was fitted, and how well it ranks the rows it never saw.

    usable: whether it is shown to rank them at all, the interval of Spearman's rho, over groups, lying above 0.
    """
    said = model.predict(unseen.features.texts)
    found = evidence.quality(said, unseen.ratings, [None] * len(unseen.ratings), model.mean, unseen.groups, config)
    measured = {name: [found[name], *found["intervals"][name]] for name in ("spearman", "r2", "mse")}
    return {"rows": len(fitted.ratings), "groups": len(np.unique(fitted.groups)), "unseen_rows": len(unseen.ratings),
            **measured, "shut": float(said.shut.mean()), "usable": bool(measured["spearman"][1] > 0)}  # fmt: skip
