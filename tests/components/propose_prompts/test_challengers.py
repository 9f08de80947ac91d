import numpy as np

from components.propose_prompts.challengers import choose, usable

SLOTS = "장소 {place} 사람 {people} 기분 {mood} 사진 {photo}."


def test_only_fresh_templates_with_every_slot_once_and_no_repetition_are_usable():
    good, other = f"짧게 써 줘. {SLOTS}", f"길게 써 줘. {SLOTS}"
    sampled = [
        good, good, "슬롯 없음.", f"{SLOTS} {{place}}.", f"{SLOTS} {{name}}.", f"가. 가. {SLOTS}", f"한 줄.\n{SLOTS}",
        f"깨진 {{ {SLOTS}", other, f"A {SLOTS}",
    ]  # fmt: skip
    assert usable(sampled, known=[f"A {SLOTS}"]) == [good, other]


def test_best_of_each_policy_and_the_first_draw_no_template_twice():
    sft, ppo = ["s0", "s1", "s2"], ["p0", "p1"]
    chosen = choose(sft, np.array([0.1, 0.9, 0.3]), ppo, np.array([0.2, 0.8]))
    assert chosen == [("ppo", "p1"), ("best_of_n", "s1"), ("sft", "s0")]
    assert choose(["s0", "s1"], np.array([0.9, 0.1]), ppo[:1], np.array([0.2])) == [
        ("ppo", "p0"), ("best_of_n", "s0"), ("sft", "s1"),
    ]  # fmt: skip
    assert choose(["same"], np.array([0.5]), ["same"], np.array([0.6])) == [("ppo", "same")]
    assert choose([], np.array([]), ["p"], np.array([0.0])) == [("ppo", "p")]
