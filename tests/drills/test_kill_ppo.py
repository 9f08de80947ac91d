"""A smoke of `make drill`: a training in a process of its own, killed once in the middle of an update."""

from drills.kill_ppo import drill


def test_a_training_killed_ends_as_one_that_was_left_alone(data):
    found = drill(kills=1, updates=3, rollouts=4, seed=5)
    assert found["kills"] == 1 and found["identical_bytes"] > 10_000
