from collections import Counter

from components.generate_diaries.assignment import assign


def test_incumbent_writes_half_of_each_context_and_others_the_rest():
    pairs = assign(["c1", "c2", "c3"], ["A", "x", "y", "z"], per_context=4, seed=0)
    assert Counter(c for c, _ in pairs) == {"c1": 4, "c2": 4, "c3": 4}
    for context in ("c1", "c2", "c3"):
        mine = [p for c, p in pairs if c == context]
        assert mine.count("A") == 2
        assert len(set(mine) - {"A"}) == 2  # no other prompt twice for one context


def test_without_others_the_incumbent_writes_everything():
    assert assign(["c"], ["A"], per_context=3, seed=0) == [("c", "A")] * 3


def test_the_seed_decides_and_no_other_context_does():
    ids, prompts = [f"c{i}" for i in range(20)], ["A", *"uvwxyz"]
    pairs = assign(ids, prompts, 3, seed=1)
    assert pairs == assign(ids, prompts, 3, seed=1) != assign(ids, prompts, 3, seed=2)
    assert [pair for pair in assign(["new", *ids], prompts, 3, seed=1) if pair[0] != "new"] == pairs
    assert len({p for _, p in pairs}) == 7  # not one draw for all
