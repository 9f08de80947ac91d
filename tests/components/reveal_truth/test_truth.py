import math

import numpy as np

from components.reveal_truth.truth import arm_truth, policy_truth


def test_arm_truth_by_hand():
    found = arm_truth({"A": np.array([0.0, 0.5, 1.0, 0.5]), "B": np.array([1.0, 1.0, 0.5, 0.5])}, adopted="A")
    assert found["best"] == "B" and found["gap"] == 0.25
    a = found["arms"][0]
    # mean 0.5, sample variance (0.25 + 0 + 0.25 + 0) / 3 = 1/6, se = sqrt(1/24)
    assert a["true_mean"] == 0.5 and a["n"] == 4 and math.isclose(a["se"], math.sqrt(1 / 24))


def test_the_best_has_no_gap():
    assert arm_truth({"A": np.zeros(3), "B": np.ones(3)}, adopted="B")["gap"] == 0.0


def test_policy_truth_by_hand():
    found = policy_truth(np.array([0.0, 0.2]), np.array([0.6, 1.0]))
    # standard errors: 0.1414/√2 = 0.1 and 0.2828/√2 = 0.2; difference 0.7 over √(0.01 + 0.04)
    assert math.isclose(found["difference"], 0.7)
    assert math.isclose(found["se"], math.sqrt(0.05)) and math.isclose(found["sigmas"], 0.7 / math.sqrt(0.05))
