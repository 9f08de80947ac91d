import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import bisect, minimize
from scipy.special import rel_entr
from scipy.stats import beta, chisquare, norm

from components.evaluate_prompts.samplers import (
    KLUCB,
    SAMPLERS,
    UCB1,
    EpsilonGreedy,
    State,
    Thompson,
    TopTwoThompson,
    TrackAndStop,
    best_arm_shares,
    pooled_variance,
)

LEVELS = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
UNUSED = np.random.default_rng(0)  # for indices in which nothing is drawn
every_sampler = pytest.mark.parametrize("name", SAMPLERS)


def state(n, total, squares=None):
    return State(
        np.array(n), np.array(total, dtype=float), np.array(total if squares is None else squares, dtype=float)
    )


def empty(k):
    return state([0] * k, [0] * k)


def play(sampler, table, pulls, s=None):
    """The arms pulled from state `s` on, and the state then; the j-th pull of an arm pays table[arm, j]."""
    s, arms = s or empty(len(table)), []
    for _ in range(pulls):
        arms.append(sampler.select(s))
        s = s.after(arms[-1], table[arms[-1], s.n[arms[-1]]])
    return arms, s


def levels(shape):
    return np.random.default_rng(0).choice(LEVELS, size=shape)


def frequencies(make, s, seeds=4000):
    return np.bincount([make(seed=i).select(s) for i in range(seeds)], minlength=len(s.n))


def best_chances(laws):
    """P(an arm's draw is the greatest) for independent laws, by numerical integration."""

    def chance(k):
        def density(x):
            return laws[k].pdf(x) * np.prod([law.cdf(x) for j, law in enumerate(laws) if j != k])

        return quad(density, laws[k].ppf(1e-9), laws[k].ppf(1 - 1e-9), limit=200)[0]

    return np.array([chance(k) for k in range(len(laws))])


def test_state_is_replayed_from_pulls():
    s = empty(3).after(1, -0.5).after(1, 1.0).after(0, 0.25)
    assert s.n.tolist() == [1, 2, 0]
    assert s.total.tolist() == [0.25, 0.5, 0.0]
    assert s.squares.tolist() == [0.0625, 1.25, 0.0]
    whole = State.of(np.array([[0.25, np.nan], [-0.5, 1.0], [np.nan, np.nan]]))
    assert all((getattr(whole, f) == getattr(s, f)).all() for f in ("n", "total", "squares"))
    part = s.only(np.array([1, 2]))
    assert (part.n.tolist(), part.total.tolist(), part.squares.tolist()) == ([2, 0], [0.5, 0.0], [1.25, 0.0])
    for wrong in (1.5, -1.01, np.nan):
        with pytest.raises(ValueError, match=str(wrong)):
            s.after(0, wrong)


def test_a_pull_on_its_way_counts_but_tells_nothing():
    s = state([2, 4], [0.5, -2.0], [1.25, 1.5]).awaiting(0)
    assert s.n.tolist() == [3, 4]
    assert s.total / s.n == pytest.approx([0.25, -0.5])
    assert s.squares / s.n == pytest.approx([0.625, 0.375])
    assert empty(2).awaiting(1).n.tolist() == [0, 1]


@every_sampler
def test_arms_never_pulled_come_first_in_an_order_of_the_seed(name):
    assert SAMPLERS[name]().select(state([5, 0, 5], [5.0, 0.0, 5.0])) == 1
    rewards = np.tile([[0.5], [-0.5], [0.0], [1.0]], 4)
    starts = {tuple(play(SAMPLERS[name](seed=seed), rewards, 4)[0]) for seed in range(40)}
    assert all(sorted(start) == [0, 1, 2, 3] for start in starts)
    assert len(starts) > 10


@every_sampler
def test_equal_arms_are_drawn_by_seed_and_number_of_pulls(name):
    tied, later = state([3] * 4, [0.6] * 4, [1.2] * 4), state([7] * 4, [1.4] * 4, [2.8] * 4)
    picks = [SAMPLERS[name](seed=seed).select(tied) for seed in range(60)]
    assert picks == [SAMPLERS[name](seed=seed).select(tied) for seed in range(60)]
    assert picks != [SAMPLERS[name](seed=seed).select(later) for seed in range(60)]
    assert set(picks) == {0, 1, 2, 3}


@every_sampler
def test_a_killed_run_goes_on_as_if_nothing_had_been(name):
    table = levels((4, 120))
    arms, _ = play(SAMPLERS[name](seed=3), table, 120)
    for killed in (1, 4, 57):
        replayed = empty(4)
        for arm in arms[:killed]:
            replayed = replayed.after(arm, table[arm, replayed.n[arm]])
        assert play(SAMPLERS[name](seed=3), table, 120 - killed, replayed)[0] == arms[killed:]


@every_sampler
def test_a_lone_arm_is_pulled(name):
    assert SAMPLERS[name]().select(state([3, 4], [1.0, 1.0]).only(np.array([1]))) == 0


@pytest.mark.parametrize("low", [-1.0, 1.0])
@every_sampler
def test_the_ends_of_the_scale_are_rewards_like_others(name, low):
    arms, s = play(SAMPLERS[name](), np.full((3, 60), low), 60)
    assert s.n.min() >= 2 and len(arms) == 60


# Mean regret over the runs as a share of uniform's, at most: a fixed simulation, so no chance is in it.
@pytest.mark.parametrize("name, share", [("ucb1", 0.6), ("kl_ucb", 0.3), ("epsilon_greedy", 0.2), ("thompson", 0.3),
                                         ("top_two", 0.6), ("track_and_stop", 0.65)])  # fmt: skip
def test_regret_is_far_below_uniform(name, share):
    truth, regret = np.array([-0.4, 0.4, 0.0, 0.1]), {}
    for kind in (name, "uniform"):
        rng, regret[kind] = np.random.default_rng(5), 0.0
        for seed in range(6):
            table = np.clip(rng.normal(truth[:, None], 0.4, (4, 400)), -1, 1)
            _, s = play(SAMPLERS[kind](seed=seed), table, 400)
            regret[kind] += ((truth.max() - truth) * s.n).sum()
    assert regret[name] < share * regret["uniform"]


def test_uniform_pulls_the_least_pulled():
    _, s = play(SAMPLERS["uniform"](), levels((3, 50)), 50)
    assert sorted(s.n) == [16, 17, 17]


def test_ucb1_index_by_hand():
    # 10 pulls: means in [-1, 1] are 0.5 and -0.2, in [0, 1] 0.75 and 0.4; sqrt(2 ln 10 / 4) and sqrt(2 ln 10 / 6)
    s = state([4, 6], [2.0, -1.2])
    assert UCB1().index(s, UNUSED) == pytest.approx([0.75 + 1.0729830, 0.4 + 0.8760869], abs=1e-6)
    assert UCB1(c=0).index(s, UNUSED) == pytest.approx([0.75, 0.4])
    # 100 pulls: 0.55 + sqrt(2 ln 100 / 90) = 0.870 < 0.5 + sqrt(2 ln 100 / 10) = 1.460
    assert UCB1().select(state([90, 10], [9.0, 0.0])) == 1


def test_ucb1_pulls_what_mabwiser_pulls():
    from mabwiser.mab import MAB, LearningPolicy

    table = np.random.default_rng(0).uniform(-1, 1, (4, 200))  # no ties, which each breaks in its own way
    bandit = MAB([0, 1, 2, 3], LearningPolicy.UCB1(alpha=1))
    bandit.fit([0, 1, 2, 3], (table[:, 0] + 1) / 2)
    s = State.of(table[:, :1])
    for _ in range(150):
        arm = UCB1().select(s)
        assert arm == bandit.predict()
        reward = table[arm, s.n[arm]]
        bandit.partial_fit([arm], [(reward + 1) / 2])
        s = s.after(arm, reward)


def test_kl_ucb_index_by_closed_form_and_by_bisection():
    # t = 11, ln 11 = 2.397895. Mean 1/2 in 4 pulls: q = (1 + sqrt(1 - exp(-2 ln 11 / 4))) / 2 = 0.917876;
    # mean 0 in 6 pulls: q = 1 - exp(-ln 11 / 6) = 0.329441
    assert KLUCB().index(state([4, 6], [0.0, -6.0]), UNUSED) == pytest.approx([0.917876, 0.329441], abs=1e-5)
    assert KLUCB().index(state([4, 6], [4.0, 6.0]), UNUSED) == pytest.approx([1, 1])
    s, level = state([30, 50, 20], [12.0, -7.0, 19.0]), np.log(101) + 3 * np.log(np.log(101))
    expected = [
        bisect(lambda q, p=p, n=n: n * (rel_entr(p, q) + rel_entr(1 - p, 1 - q)) - level, p, 1 - 1e-12)
        for p, n in ((0.7, 30), (0.43, 50), (0.975, 20))
    ]
    assert KLUCB(c=3).index(s, UNUSED) == pytest.approx(expected, abs=1e-9)


def test_epsilon_greedy_explores_as_often_as_it_says():
    s = state([10, 10, 10, 10], [1.0, 5.0, 2.0, 0.0])
    # the best: 1 - 0.2 + 0.2 / 4; each other 0.2 / 4
    counts = frequencies(lambda seed: EpsilonGreedy(seed=seed, epsilon=0.2), s)
    assert chisquare(counts, 4000 * np.array([0.05, 0.85, 0.05, 0.05])).pvalue > 0.001


def test_thompson_pulls_an_arm_as_often_as_it_may_be_best():
    s = state([6, 8, 5, 30], [2.0, 4.0, -3.0, 6.0])  # successes (n + total) / 2: 4, 6, 1, 18
    chances = best_chances([beta(5, 3), beta(7, 3), beta(2, 5), beta(19, 13)])
    assert chisquare(frequencies(Thompson, s), 4000 * chances / chances.sum()).pvalue > 0.001


def test_top_two_pulls_as_often_as_russo_says():
    rewards = np.full((3, 12), np.nan)
    rewards[0, :] = [0.5, 0.5, 0.0, 1.0, -0.5, 0.5, 1.0, 0.0, -1.0, 0.5, 1.0, 0.5]
    rewards[1, :8] = [0.0, 0.5, 1.0, 0.5, -0.5, 0.5, 0.0, 0.5]
    rewards[2, :10] = [0.5, -0.5, 1.0, -1.0, 0.5, 0.5, 0.5, -0.5, 0.5, 0.0]
    rows = [row[~np.isnan(row)] for row in rewards]
    # pooled over 30 pulls of 3 arms, with one more observation, at 0.25
    variance = (0.25 + sum(((row - row.mean()) ** 2).sum() for row in rows)) / (30 - 3 + 1)
    assert pooled_variance(State.of(rewards)) == pytest.approx(variance)
    a = best_chances([norm(row.mean(), np.sqrt(variance / len(row))) for row in rows])
    odds = a / (1 - a)
    chances = a * (0.5 + 0.5 * (odds.sum() - odds))  # Russo (2016), section 3.3
    assert 0.02 < chances.min()
    assert chisquare(frequencies(TopTwoThompson, State.of(rewards)), 4000 * chances / chances.sum()).pvalue > 0.001


def test_top_two_of_a_sure_posterior_pulls_the_rival_cheapest_to_mistake():
    # sd 0.1 and gaps of 0.5 and 0.45; squared gap / (1 / n_leader + 1 / n): 124.9 and 202.3, so the arm further behind
    s = state([10**6, 500, 1000], [0.9e6, 200.0, 450.0], [0.82e6, 85.0, 212.5])
    counts = frequencies(TopTwoThompson, s, seeds=2000)
    assert counts[2] == 0
    assert chisquare(counts[:2], [1000, 1000]).pvalue > 0.001


def test_shares_of_the_best_arm_by_closed_form():
    assert best_arm_shares(np.array([0.1, 0.4]), 1) == pytest.approx([0.5, 0.5])
    equal = 1 / (1 + np.sqrt(3))  # three equal rivals share what the leader leaves
    assert best_arm_shares(np.array([0.2, 0.5, 0.2, 0.2]), 1) == pytest.approx(
        [(1 - equal) / 3, equal, *[(1 - equal) / 3] * 2]
    )
    assert best_arm_shares(np.array([0.5, 0.5, 0.1]), 0) == pytest.approx([0.5, 0.5, 0.0], abs=1e-6)
    assert best_arm_shares(np.zeros(2), 0) == pytest.approx([0.5, 0.5])


def test_shares_of_the_best_arm_maximise_the_least_evidence():
    mean = np.array([0.30, 0.45, 0.10, 0.38])

    def evidence(w):  # on each rival of arm 1: w_1 w_k / (w_1 + w_k) d_k^2 / 2
        return np.array([w[1] * w[k] / (w[1] + w[k]) * (mean[1] - mean[k]) ** 2 / 2 for k in (0, 2, 3)])

    best = minimize(lambda x: -x[4], [0.25] * 4 + [0.0], method="SLSQP", bounds=[(1e-6, 1)] * 4 + [(0, 100)],
                    constraints=[{"type": "eq", "fun": lambda x: x[:4].sum() - 1},
                                 {"type": "ineq", "fun": lambda x: 1e4 * evidence(x[:4]) - x[4]}],
                    options={"ftol": 1e-10, "maxiter": 500})  # fmt: skip
    assert best.success
    assert best_arm_shares(mean, 1) == pytest.approx(best.x[:4], abs=1e-4)


def test_track_and_stop_tracks_the_shares_and_keeps_looking():
    mean = np.array([0.30, 0.45, -0.5, 0.38])
    _, s = play(TrackAndStop(), np.tile(mean[:, None], 2000), 2000)
    share = best_arm_shares(mean, 1)
    assert share[2] * 2000 < 30 < np.sqrt(2000) - 2 <= s.n[2] + 1  # too few by its share, so exploration is forced
    kept = [0, 1, 3]
    assert s.n[kept] / 2000 == pytest.approx(share[kept], abs=0.02)
    assert TrackAndStop().select(state([30, 1], [9.0, -1.0])) == 1  # 1 < sqrt(31) - 1
    # two equal rivals: shares 0.414, 0.293, 0.293 of 100 pulls, so behind by 0.42, 0.29 and -0.71 pulls
    assert TrackAndStop().select(state([41, 29, 30], [20.5, 0.0, 0.0])) == 0
