import numpy as np

from components.evaluate_prompts.allocation import allocate


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
