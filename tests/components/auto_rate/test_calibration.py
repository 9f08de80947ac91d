import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.isotonic import isotonic_regression

from components.auto_rate.calibration import Method, by_rule, counts, isotonic, out_of_fold
from components.auto_rate.quality import LEAST, agreement, bootstrap, spearman
from memozy.feedback import SAID


def rows(kinds, human, similarity=None, text=None):
    n = len(kinds)
    return pl.DataFrame({
        "kind": list(kinds), "human": human, "added": [0.0] * n, "length": [4.0] * n,
        "similarity": [None] * n if similarity is None else similarity, "text_id": text or [f"t{i}" for i in range(n)],
    }, schema_overrides={"human": pl.Float64, "similarity": pl.Float64})  # fmt: skip


def simulated(n, seed=0):
    """Edits that people rate 2 · similarity - 1, give or take 0.2."""
    rng = np.random.default_rng(seed)
    similarity = rng.uniform(0, 1, n)
    return rows(["edit"] * n, np.clip(2 * similarity - 1 + rng.normal(0, 0.2, n), -1, 1), similarity)


def test_isotonic_by_hand():
    # 2 and 1 fall: they are one pool, of mean 1.5 at x 2.5; of x 1 there are two, of mean 0.5
    at, worth = isotonic(np.array([1.0, 1.0, 2.0, 3.0, 4.0]), np.array([0.0, 1.0, 2.0, 1.0, 3.0]))
    assert at.tolist() == [1, 2.5, 4] and worth.tolist() == [0.5, 1.5, 3]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-2, 2)), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_the_pools_are_those_of_plain_isotonic_regression(points):
    x, y = np.array(sorted(points), float).T
    values, index, n = np.unique(x, return_inverse=True, return_counts=True)
    plain = isotonic_regression(np.bincount(index, weights=y) / n, sample_weight=n)
    at, worth = isotonic(x, y)
    assert (np.diff(at) > 0).all() and (np.diff(worth) > 0).all()
    assert worth == pytest.approx(np.array(sorted(set(plain.round(9)))))


def test_until_there_is_enough_the_plain_rule_holds():
    found = rows(["like", "dislike", "regenerate", "edit", "edit", "edit", "edit"], [None] * 7,
                 [None, None, None, 1.0, 0.9, 0.5, 0.49])  # fmt: skip
    method = Method.fit(found, frozenset())
    assert method.rate(found).tolist() == [1, -1, -0.5, 1, 1, 0, -0.5]
    assert by_rule(np.array([0.899])).tolist() == [0]


def test_a_reaction_is_worth_what_people_say_shrunken_to_the_rule():
    found = rows(["like"] * 30 + ["dislike"], [0.5] * 20 + [None] * 10 + [1.0])
    worth = Method.fit(found, frozenset({"like"})).worth
    assert worth == SAID | {"like": pytest.approx((10 * 1 + 20 * 0.5) / 30)}


def test_an_edit_is_worth_what_people_say_of_such_edits():
    method, new = Method.fit(simulated(2000), frozenset({"edit"})), simulated(500, seed=1)
    ideal = 2 * new["similarity"].to_numpy() - 1
    said = method.rate(new)
    assert np.abs(said - ideal).mean() < 0.05 and np.abs(said).max() <= 1
    assert (np.diff(said[np.argsort(ideal)]) >= 0).all()


def test_whether_additions_and_length_count_is_learnt_too():
    similarity = np.full(400, 0.8)
    added, length = np.tile([0.0, 0.5], 200), np.repeat([3.0, 5.0], 200)
    found = rows(["edit"] * 400, 0.4 * (added == 0.5) - 0.2 * (length == 5), similarity)
    found = found.with_columns(added=pl.Series(added), length=pl.Series(length))
    said = Method.fit(found, frozenset({"edit"})).rate(found)
    assert said == pytest.approx(found["human"].to_numpy(), abs=0.01)


def test_counted_are_texts_that_people_rated():
    found = rows(["edit", "edit", "edit", "like"], [0.0, 1.0, None, None], text=["a", "a", "b", "c"])
    assert counts(found) == {"edit": 1, "like": 0}


def test_out_of_fold_means_without_any_row_of_the_text():
    # every text is rated by chance, its three showings alike: who had seen one of them would know the others
    rng = np.random.default_rng(0)
    human, similarity = np.repeat(rng.uniform(-1, 1, 300), 3), np.repeat(rng.uniform(0, 1, 300), 3)
    found = rows(["edit"] * 900, human, similarity, [f"t{i // 3}" for i in range(900)])
    said = out_of_fold(found, frozenset({"edit"}), 10, 0)
    assert abs(spearman(said, human)) < 0.15
    fitted = Method.fit(found, frozenset({"edit"})).rate(found)
    assert spearman(fitted, human) > spearman(said, human)
    assert (out_of_fold(found, frozenset({"edit"}), 10, 0) == said).all()
    # no rating that stands in a row says anything of that row's own surrogate
    other = found.with_columns(human=pl.when(pl.col("text_id") == "t7").then(-pl.col("human")).otherwise("human"))
    same = (found["text_id"] == "t7").to_numpy()
    assert (out_of_fold(other, frozenset({"edit"}), 10, 0)[same] == said[same]).all()


def test_every_fold_has_rows_of_every_kind_to_learn_from():
    found = rows(["edit"] * 10 + ["like"] * 90, np.linspace(-1, 1, 100), [0.5] * 10 + [None] * 90)
    for seed in range(50):
        assert np.isfinite(out_of_fold(found, frozenset({"edit", "like"}), 2, seed)).all()


def test_spearman_is_scipys():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.integers(0, 5, 30), rng.normal(size=30)
        assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
    assert spearman(np.zeros(5), np.arange(5)) == 0


def test_an_interval_is_over_groups():
    rng = np.random.default_rng(0)
    values = rng.normal(size=100)
    one = bootstrap(lambda drawn: values[drawn].mean(), range(100))
    assert one.value == pytest.approx(values.mean())
    # a normal mean's interval is 2 · 1.96 standard errors wide; every value four times makes it no narrower
    assert one.high - one.low == pytest.approx(3.92 * values.std() / 10, rel=0.1)
    four = bootstrap(lambda drawn: np.tile(values, 4)[drawn].mean(), [*range(100)] * 4)
    assert four.high - four.low == pytest.approx(one.high - one.low, rel=0.1)


def test_of_few_texts_nothing_is_told():
    said, human, texts = np.linspace(-1, 1, 20), np.linspace(-1, 0.5, 20), [f"t{i // 2}" for i in range(20)]
    assert agreement(said, human, ["t0", *texts[1:-2], "t0", "t0"]) is None
    found = agreement(said, human, texts)
    assert len(set(texts)) == LEAST and found["spearman"].value == pytest.approx(1)
    assert found["mae"].value == pytest.approx(0.25)
