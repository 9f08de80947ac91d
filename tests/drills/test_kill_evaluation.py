"""A smoke of `make drill`: whole evaluations in processes of their own, killed twice."""

import pytest

from drills.kill_evaluation import drill


@pytest.mark.parametrize("idempotent", [True, False])
def test_an_evaluation_killed_goes_on_without_paying_twice(data, idempotent):
    found = drill(kills=1, contexts=24, per_look=40, idempotent=idempotent, seed=3)
    assert found["kills"] == 1 and found["calls"] >= 80
    assert found["lost_usd"] == 0 if idempotent else found["paid_twice"] <= 8
