import numpy as np
import pytest

from components.evaluate_prompts.samplers import UCB1, State, allocate


def state(n, total):
    return State(np.array(n), np.array(total, dtype=float))


def test_index_by_hand():
    # 10 pulls: means in [-1, 1] are 0.5 and -0.2, in [0, 1] 0.75 and 0.4; sqrt(2 ln 10 / 4) and sqrt(2 ln 10 / 6)
    index = UCB1().index(state([4, 6], [2.0, -1.2]))
    assert index == pytest.approx([0.75 + 1.0729830, 0.4 + 0.8760869], abs=1e-6)
    assert UCB1().select(state([4, 6], [2.0, -1.2])) == 0
    assert UCB1(c=0).index(state([4, 6], [2.0, -1.2])) == pytest.approx([0.75, 0.4])


def test_width_can_outweigh_the_mean():
    # 100 pulls: 0.55 + sqrt(2 ln 100 / 90) = 0.870 < 0.5 + sqrt(2 ln 100 / 10) = 1.460
    assert UCB1().select(state([90, 10], [9.0, 0.0])) == 1


def test_an_arm_never_pulled_comes_first():
    assert UCB1().select(state([5, 0, 5], [5.0, 0.0, 5.0])) == 1


def test_ties_follow_the_seed():
    tied = state([0] * 6, [0.0] * 6)
    picks = [UCB1(seed=s).select(tied) for s in range(60)]
    assert picks == [UCB1(seed=s).select(tied) for s in range(60)]
    assert set(picks) == set(range(6))


def test_state_is_replayed_from_pulls():
    s = state([0, 0], [0.0, 0.0]).after(1, -0.5).after(1, 1.0).after(0, 0.25)
    assert s.n.tolist() == [1, 2]
    assert s.total.tolist() == [0.25, 0.5]
    with pytest.raises(ValueError, match="1.5"):
        s.after(0, 1.5)


def test_finds_the_better_arm():
    rng, means = np.random.default_rng(0), [-0.4, 0.4]
    s, sampler = state([0, 0], [0.0, 0.0]), UCB1()
    for _ in range(400):
        arm = sampler.select(s)
        s = s.after(arm, float(np.clip(means[arm] + rng.normal(0, 0.3), -1, 1)))
    assert s.n[1] > 300


def give(mean, n_rated, ratings, epsilon=0.1, least=2, room=(1000,) * 3):
    return allocate(np.array(mean), np.array(n_rated), ratings, epsilon=epsilon, least=least, room=np.array(room))


def test_first_round_is_equal():
    assert give([0, 0, 0], [0, 0, 0], 30).tolist() == [10, 10, 10]
    assert sorted(give([0, 0, 0], [0, 0, 0], 31).tolist()) == [10, 10, 11]


def test_shares_by_hand():
    # gaps to the leader 0.1 and 0.3, shifted 0.2 and 0.4: rivals weigh 25 and 6.25, the leader
    # sqrt(25^2 + 6.25^2) = 25.77; of 300 ratings in all: 135.6, 131.5, 32.9, less the 20 given to each
    assert give([0.5, 0.4, 0.2], [20, 20, 20], 240).tolist() == [116, 111, 13]


def test_least_and_room_are_kept():
    given = give([0.9, 0.8, -0.9], [50, 50, 50], 40, least=5, room=(12, 1000, 1000))
    assert given.sum() == 40
    assert given[0] == 12 and given[2] == 5 and given[1] == 23
    assert give([0.5, 0.4, 0.2], [20, 20, 20], 30, room=(3, 4, 5)).tolist() == [3, 4, 5]
    assert give([0.5, 0.4, 0.2], [20, 20, 20], 12, least=10).sum() == 12
