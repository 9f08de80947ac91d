"""The learning curve: what the champion does with fewer ratings, by the same folds."""

import numpy as np
import pytest

from components.train_reward import learning, procedure
from components.train_reward.config import Config
from components.train_reward.procedure import folds, plan
from tests.rated import rated_rows


def config(*candidates):
    return Config(candidates=candidates, folds=3, repeats=1)


def test_a_learning_curve_learns_from_more_and_more_of_the_same_groups(monkeypatch, tmp_path):
    rows, settings = rated_rows(24, 2, seed=7), config("constant", "trees")
    the_plan, seen = plan(settings, rows.copies), []
    vote = procedure.vote
    monkeypatch.setattr(procedure, "workers", lambda _: 1)  # in this process, where it can be listened to
    monkeypatch.setattr(procedure, "vote", lambda rows, *rest: seen.append(rows.groups) or vote(rows, *rest))
    measured = learning.points(rows, the_plan.candidates[1], the_plan, settings, (0.25, 0.5, 1.0), tmp_path)
    assert [p["share"] for p in measured] == [0.25, 0.5, 1.0]
    # of 24 groups 16 are trained on in each of three folds, two rows each
    assert [p["n_rows"] for p in measured] == [8.0, 16.0, 32.0]
    for fold in range(3):
        few, half, full = (set(groups) for groups in seen[3 * fold : 3 * fold + 3])
        assert few < half < full
    flat = learning.points(rows, the_plan.candidates[0], the_plan, settings, (0.5, 1.0), tmp_path)
    by_hand = [(rows.ratings[train].mean() - rows.ratings[held]) ** 2 for _, _, train, held in folds(rows.groups, 3, 1, 0)]
    assert flat[1]["mse"] == pytest.approx(np.concatenate(by_hand).mean())


