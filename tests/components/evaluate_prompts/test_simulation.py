from dataclasses import replace

import numpy as np
import pytest

from benchmarks.adoption_power import AGAINST, OURS, crossing, ucb_on_judge
from components.evaluate_prompts import world
from components.evaluate_prompts.simulation import is_error, is_false_adoption, simulate
from components.evaluate_prompts.world import Spread


def test_errors_are_counted_as_defined():
    truth = (0.3, 0.5, 0.45, 0.35)
    claims = [("adopt", 1), ("adopt", 2), ("adopt", 3), ("keep", 0), ("undecided", 3)]
    assert [is_error(*c, truth, 0.1) for c in claims] == [False, False, True, True, False]
    assert [is_false_adoption(*c, truth, 0.1) for c in claims] == [False, False, True, False, False]
    assert is_error("adopt", 1, (0.5, 0.5), 0.1) and not is_false_adoption("adopt", 1, (0.5, 0.5), 0.1)
    assert not is_error("keep", 0, (0.5, 0.5), 0.1)


@pytest.mark.parametrize("mean", [-0.2, 0.5, 0.85])
@pytest.mark.parametrize("n_raters", [1, 5])
def test_simulated_ratings_have_the_stated_mean(mean, n_raters):
    rng, n, spread = np.random.default_rng(0), 200_000, Spread.of(0.5, n_raters)
    quality = rng.normal(world.quality_mean(mean, 0.5, n_raters), spread.diary, n)
    levels = world.to_level(quality + rng.choice(spread.biases, n) + rng.normal(0, spread.noise, n))
    assert levels.mean() == pytest.approx(mean, abs=0.01)


def test_simulated_ratings_and_scores_vary_as_stated():
    rng, spread = np.random.default_rng(1), Spread.of(0.5, 5)
    s = replace(OURS, truth=(0.0, 0.0), n_contexts=100_000, rho2=0.3, bias=(0.0, 0.2))
    quality, scores = world.written(s, rng)
    levels = world.to_level(
        quality + rng.choice(spread.biases, quality.shape) + rng.normal(0, spread.noise, quality.shape)
    )
    assert levels.std() == pytest.approx(0.5, abs=0.02)  # the scale's ends cut a little
    assert np.corrcoef(quality)[0, 1] == pytest.approx(0.3, abs=0.01)
    assert np.corrcoef(levels[0], scores[0])[0, 1] ** 2 == pytest.approx(0.3, abs=0.015)
    assert scores.mean(axis=1) == pytest.approx([0.0, 0.2], abs=0.01)


def test_a_misled_judge_is_corrected_where_ucb_on_it_is_lost():
    assert simulate(replace(AGAINST, per_look=100), 60, seed=11)["lead_best"] >= 0.9
    assert ucb_on_judge(AGAINST, 2) == {"most_pulled": 0.0, "highest_mean": 0.0}


def test_the_better_prompt_gets_adopted_sooner_with_the_judge():
    ours, human = replace(OURS, per_look=75), replace(OURS, per_look=75, scorer="human", adaptive=False)
    assert simulate(ours, 60, seed=11)["adopt_best"] >= simulate(human, 60, seed=11)["adopt_best"] + 0.2


def test_the_crossing_of_a_known_power_curve():
    # Phi(sqrt(n) / 10 - 1) is .8 where sqrt(n) = 18.416
    assert crossing([200, 300, 450], [0.6607, 0.7679, 0.8690]) == pytest.approx(18.416**2, rel=2e-3)
