import numpy as np
import pytest
from scipy import stats

from components.evaluate_prompts.decide import NEVER, Plan, boundaries, decide
from components.evaluate_prompts.estimate import Estimates


def test_boundaries_are_the_published_ones():
    """Lan-DeMets of O'Brien-Fleming form, one-sided 0.05: the table in the README of SeqBounds.jl."""
    published = (3.74955, 2.53993, 2.01604, 1.72014)
    assert boundaries((1, 2, 3, 4), 4, 0.05) == pytest.approx(published, abs=1e-4)


def test_boundaries_lie_close_to_the_classical_ones():
    """O'Brien-Fleming 1979 (Jennison and Turnbull 2000, table 2.3): C = 2.024 for 4 looks, two-sided 0.05."""
    classical = 2.024 * np.sqrt(4 / np.arange(1, 5))
    ours = np.array(boundaries((1, 2, 3, 4), 4, 0.025))
    assert ours[1:] == pytest.approx(classical[1:], rel=0.04)
    assert ours[0] > classical[0]  # the spending form is stricter at the first look
    assert crossing(classical, (1, 2, 3, 4)) == pytest.approx(0.025, abs=3e-4)


def crossing(z, information):
    """By an independent route: the multivariate normal probability of not staying below every boundary."""
    t = np.array(information, dtype=float)
    law = stats.multivariate_normal(np.zeros(len(t)), np.sqrt(np.minimum.outer(t, t) / np.maximum.outer(t, t)))
    return 1 - law.cdf(np.array(z), rng=np.random.default_rng(0))


@pytest.mark.parametrize("information", [(7,), (4, 10), (2, 2.1, 6, 10), (3, 5, 7, 9, 9.5, 10), (1, 2, 3, 20)])
@pytest.mark.parametrize("alpha", [0.05, 0.0125])
def test_chance_of_crossing_is_alpha_however_information_grows(information, alpha):
    z = boundaries(information, len(information), alpha)
    assert crossing(z, information) == pytest.approx(alpha, abs=3e-4)


def test_what_is_spent_by_each_look_follows_the_calendar():
    # O'Brien-Fleming's function at half the looks: 2 - 2 Phi(1.959964 / sqrt(.5)) = .0055746
    assert crossing(boundaries((1, 5), 4, 0.05), (1, 5)) == pytest.approx(0.0055746, abs=1e-5)


def test_a_look_with_nothing_new_leaves_its_share_to_the_next():
    idle = boundaries((5, 5, 10), 3, 0.05)
    assert idle[1] == NEVER
    assert idle[0] == boundaries((5, 7, 10), 3, 0.05)[0]
    assert crossing((idle[0], idle[2]), (5, 10)) == pytest.approx(0.05, abs=1e-4)


def estimates(mean, se, n=1000):
    """Independent arms, each with this standard error and number of ratings."""
    k = len(mean)
    n = np.full(k, n)
    return Estimates(np.array(mean, dtype=float), np.eye(k) * se**2, n, n, n, np.zeros(k), 0.0, None)


ONE = Plan(n_looks=1)  # 3 arms: each test at 0.05 / 2, so 1.96 at the only look


def test_adopts_what_is_shown():
    # se of a difference 0.05 sqrt(2) = 0.0707. B is better than A by 0.5: z 7.07; against C (0.2 + 0.1) / 0.0707
    d = decide([estimates([0.0, 0.5, 0.3], 0.05)], ONE)
    assert (d.decision, d.arm, d.ratings_needed) == ("adopt", 1, None)
    assert d.looks[0].z == pytest.approx(4.24, abs=0.03)
    assert d.looks[0].boundary == pytest.approx(1.96, abs=1e-3)
    assert (d.looks[0].look, d.looks[0].ratings, d.looks[0].leader) == (1, 3000, 1)
    assert d.low == pytest.approx(np.array([0.0, 0.5, 0.3]) - 1.96 * 0.05, abs=5e-4)
    assert d.high == pytest.approx(np.array([0.0, 0.5, 0.3]) + 1.96 * 0.05, abs=5e-4)


def test_undecided_says_what_it_would_take():
    # against C: (0.02 + 0.1) / 0.0707 = 1.697 < 1.96; 80 % power needs ((1.96 + 0.8416) / 1.697)^2 = 2.725 times
    # the ratings of B and C, that is 1725 more for each (a little more by the t distribution)
    d = decide([estimates([0.0, 0.5, 0.48], 0.05)], ONE)
    assert (d.decision, d.arm) == ("undecided", 1)
    assert d.ratings_needed == pytest.approx(2 * 1725, rel=0.01)


def test_a_challenger_must_beat_the_incumbent_not_only_match_it():
    # se of a difference 0.0283. Leader B: 0.05 / 0.0283 = 1.77 against A. A: (-0.05 + 0.1) / 0.0283 = 1.77 against B
    assert decide([estimates([0.5, 0.55, 0.2], 0.02)], ONE).decision == "undecided"
    assert decide([estimates([0.4, 0.55, 0.2], 0.02)], ONE).decision == "adopt"


def test_keeps_an_incumbent_within_the_margin_of_the_best():
    d = decide([estimates([0.5, 0.52, 0.2], 0.02)], ONE)  # A: (-0.02 + 0.1) / 0.0283 = 2.83
    assert (d.decision, d.arm, d.looks[0].leader) == ("keep", 0, 1)
    assert decide([estimates([0.5, 0.3, 0.2], 0.02)], ONE).decision == "keep"


def test_the_incumbent_may_stand_anywhere():
    d = decide([estimates([0.5, 0.3, 0.0], 0.05)], Plan(1, incumbent=2))
    assert (d.decision, d.arm) == ("adopt", 0)


def test_early_looks_ask_for_more_and_are_remembered():
    plan = Plan(n_looks=4)
    first = estimates([0.0, 0.5, 0.3], 0.06, n=25)
    d = decide([first], plan)  # z (0.2 + 0.1) / 0.0849 = 3.54 by t with 24 df is 3.13, under 4.33
    assert d.decision == "undecided"
    assert d.looks[0].boundary == pytest.approx(4.3326, abs=1e-3)
    strong = estimates([0.0, 0.5, -0.3], 0.04, n=50)  # every comparison beyond 2.96
    weak = estimates([0.0, 0.5, 0.45], 0.06, n=75)  # 0.15 / 0.0849 = 1.77, under 2.36
    assert decide([first, strong], plan).decision == "adopt"
    assert decide([first, strong, weak], plan).decision == "adopt"
    assert decide([first, first, weak], plan).decision == "undecided"


def test_boundaries_are_on_the_safe_side_of_how_information_grew():
    """Growth is rounded up to eighths, so the tests' chance of crossing is at most their level, and not far below."""
    looks = [estimates([0.0, 0.5, 0.3], 0.5, n=n) for n in (20, 47, 70, 110)]
    z = [x.boundary for x in decide(looks, Plan(n_looks=4)).looks]
    assert 0.024 < crossing(z, (20, 47, 70, 110)) <= 0.025


def test_few_ratings_use_the_t_distribution():
    # z of a t of 3 with 4 df: its one-sided tail is 0.01997, a normal quantile of 2.054
    d = decide([estimates([0.0, 0.6, -1.0], 0.2 / np.sqrt(2), n=5)], Plan(1))
    assert d.looks[0].z == pytest.approx(2.054, abs=2e-3)


def test_bad_calls_are_refused():
    with pytest.raises(ValueError, match="between 1 and 1"):
        decide([], ONE)
    with pytest.raises(ValueError, match="got 2"):
        decide([estimates([0, 0, 0], 0.1)] * 2, ONE)
    with pytest.raises(ValueError, match="2 arms"):
        decide([estimates([0.0], 0.1)], ONE)
