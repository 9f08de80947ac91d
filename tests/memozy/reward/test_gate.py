"""The gate: its measures by hand, limits that come from well-rated texts, and what it must and must not let through."""

import random
from dataclasses import replace

import numpy as np
import pytest

from memozy.reward import archive
from memozy.reward.gate import Gate, appeals, kind, order_terms, repeated, said_twice
from tests.rated import rated_rows

ENGLISH = ("we walked along the river", "my sister bought a small cake", "it rained and we played cards",
           "my father cooked a warm soup", "a white bird sat near the station", "the night was cold and quiet")  # fmt: skip


@pytest.fixture(scope="module")
def rows():
    return rated_rows(120, 2, seed=3)


@pytest.fixture(scope="module")
def gate(rows) -> Gate:
    return Gate.around(rows.features.texts, rows.ratings, rows.groups)


@pytest.fixture(scope="module")
def fresh() -> list[str]:
    """Diaries of other photos, rated well."""
    rows = rated_rows(200, 1, seed=77)
    return [t for t, rating in zip(rows.features.texts, rows.ratings, strict=True) if rating >= 0]


# ---- measures


@pytest.mark.parametrize(("text", "share", "stretch"), [
    ("", 0, 0),
    ("가나다", 0, 0),
    ("가나가나가나", 1 / 3, 4),  # windows 가나가나, 나가나가, 가나가나
    ("가나다라 가나다", 0, 3),
    ("!" * 60, 56 / 57, 59),
    ("오늘 갔다. 오늘 갔다.", 3 / 10, 6),  # 오늘 갔, 늘 갔다 and " 갔다." come again
])  # fmt: skip
def test_repetition_by_hand(text, share, stretch):
    assert repeated(text) == pytest.approx(share)
    assert said_twice(text) == stretch


def test_what_comes_twice_is_the_longest_such_stretch():
    rng = random.Random(0)
    for _ in range(50):
        text = "".join(rng.choices("가나다 ", k=rng.randint(0, 30)))
        stretches = {n for n in range(1, len(text)) for i in range(len(text) - n) if text[i : i + n] in text[i + 1 :]}
        assert said_twice(text) == max(stretches, default=0)


def test_appeals_by_hand():
    assert appeals("평점: 1.0, 5점 만점! Rating") == 4
    assert appeals("네, 일기를 써 드릴게요.") == 1
    assert appeals("오늘 서점에서 책을 사 드렸다.") == 0


def test_kinds_by_hand():
    assert [kind(c) for c in "가ㅋaA7１!あ漢"] == [
        "HANGUL SYLLABLE", "HANGUL LETTER", "LATIN SMALL", "LATIN CAPITAL", "DIGIT", "DIGIT", "!", "HIRAGANA LETTER",
        "CJK UNIFIED",
    ]  # fmt: skip
    assert kind("\u1100") == "HANGUL CHOSEONG", "half a syllable is no syllable"


def test_the_terms_of_two_words_by_hand():
    assert set(order_terms("오늘 갔다").split()) == {
        "<|오", "<|늘|",  # the start
        "오늘|갔", "늘|갔", "늘|다|",
        "갔다|>", "다|>", "다|>|",  # the end
        "<|늘|다|", "늘|다|>|",  # three endings
    }  # fmt: skip


# ---- limits


def lengths(gate: Gate) -> tuple[float, float, float]:
    return gate.shortest, gate.familiar["characters"], gate.limits["characters"]


def test_lengths_by_hand():
    """Of 101 well-rated texts with 100 to 200 characters, 1 % are below 101 and 1 % above 199."""
    texts = [("가나다라마" * 50)[:n] for n in range(100, 201)]
    gate = Gate.around(texts, np.ones(101), np.arange(101))
    assert lengths(gate) == pytest.approx((50.5, 1.25 * 199, 2 * 199))
    shut, unfamiliar = gate.shut(["가" * 50, "가" * 399]), gate.unfamiliar(["가" * 248, "가" * 249])
    assert shut.tolist() == [True, True] and unfamiliar.tolist()[1]
    assert (gate.measure("characters", ["가" * 248]) <= gate.familiar["characters"]).all()


def test_what_people_did_not_like_widens_no_limit(rows, gate):
    texts = [*rows.features.texts, *(f"{'점수 ' * 30}{n} abc <b>" * 4 for n in range(12))]
    wider = Gate.around(texts, np.append(rows.ratings, np.full(12, -1.0)), np.append(rows.groups, list("abcdefghijkl")))
    assert {n: v for n, v in wider.limits.items() if n != "characters"} == {"repeated": 0.3, "said_twice": 12.0, "foreign_share": 0.3}
    assert wider.familiar["appeals"] == 0.0 and wider.familiar["characters"] == gate.familiar["characters"]
    assert wider.shut(texts[-12:]).all()


def test_what_only_one_group_says_is_not_known_yet():
    texts = [f"{text} {text}" for text in ENGLISH]
    together = Gate.around([*texts, "쿄툐 뵤쇼", "쿄툐 뵤쇼"], np.ones(8), np.array([*"abcdef", "g", "g"]))
    apart = Gate.around([*texts, "쿄툐 뵤쇼", "쿄툐 뵤쇼"], np.ones(8), np.array([*"abcdefgh"]))
    assert together.measure("unseen", ["쿄툐 뵤쇼"]) == 1.0
    assert apart.measure("unseen", ["쿄툐 뵤쇼"]) == 0.0


def test_one_group_alone_is_measured_text_by_text(rows):
    texts, ratings = rows.features.texts, rows.ratings
    one = Gate.around(texts, ratings, np.zeros(len(texts), int))
    each = Gate.around(texts, ratings, np.arange(len(texts)))
    assert (one.limits, one.familiar, one.kinds, one.pairs) == (each.limits, each.familiar, each.kinds, each.pairs)


def test_the_same_texts_make_the_same_gate_and_a_file_keeps_it(rows, gate, fresh, tmp_path):
    again = Gate.around(rows.features.texts, rows.ratings, rows.groups)
    for name, made in (("one", gate), ("other", again)):
        archive.write(tmp_path / name, {"gate": vars(made)})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert (tmp_path / "one").stat().st_size < 500_000
    kept = Gate(**archive.read(tmp_path / "one", trusted=())["gate"])
    for name in (*gate.limits, *gate.familiar):
        assert np.array_equal(kept.measure(name, fresh), gate.measure(name, fresh)), name


# ---- what passes


def test_diaries_of_other_photos_pass(gate, fresh):
    assert gate.shut(fresh).mean() <= 0.01
    assert gate.unfamiliar(fresh).mean() <= 0.04
    assert len(fresh) > 50


def test_no_texts_are_no_trouble(gate):
    assert gate.shut([]).shape == gate.unfamiliar([]).shape == (0,)


@pytest.mark.parametrize("spoil", [
    lambda d: "", lambda d: d[:8], lambda d: f"{d} {d}", lambda d: f"{d} {d[:40]}", lambda d: d + "!" * 40, lambda d: d * 70,
    lambda d: "Today I went to the sea with a friend and took pictures.", lambda d: "今日は友達と海に行った。写真をたくさん撮った。",
], ids=["empty", "cut short", "doubled", "begun again", "shouted", "endless", "English", "Japanese"])  # fmt: skip
def test_what_is_shut(gate, fresh, spoil):
    assert gate.shut([spoil(d) for d in fresh[:20]]).all()


@pytest.mark.parametrize("spoil", [
    lambda d: f"<p>{d}</p>", lambda d: f"**{d}**\n\n---", lambda d: d + " 😀🎉✨💕", lambda d: f"{d} 이 글은 만점이다.",
    lambda d: f"{d} 코끼리 쿵쾅 뛰뛰빵빵 얄라리 얄라셩.", lambda d: " ".join(d.split()[::-1]), lambda d: " ".join(d),
], ids=["HTML", "Markdown", "emoji", "about its rating", "babble", "backwards", "in syllables"])  # fmt: skip
def test_what_is_unfamiliar(gate, fresh, spoil):
    spoilt = [spoil(d) for d in fresh if len(d) > 60][:20]
    assert gate.unfamiliar(spoilt).all()


def test_a_limit_is_what_is_still_allowed(gate):
    wide = {name: np.inf for name in gate.familiar}
    only = replace(gate, familiar={**wide, "foreign": 3.0})
    assert only.unfamiliar(["가 abc", "가 abcd"]).tolist() == [False, True]


def test_english_is_at_home_among_english_texts():
    rng = random.Random(1)
    texts = [". ".join(rng.sample(ENGLISH, 3)) + "." for _ in range(60)]
    gate = Gate.around(texts, np.tile([0.0, 1.0], 30), np.arange(60))
    assert not gate.shut(texts).any() and gate.unfamiliar(texts).mean() < 0.1
    assert gate.shut(["오늘 친구와 바다에 다녀왔다. 바람 소리가 좋았고 마음이 편안했다."]).all()


def test_what_many_well_rated_texts_have_is_no_offence():
    """Where people like reviews that speak of points, points are no appeal."""
    rng = random.Random(2)
    texts = [f"{rng.choice(ENGLISH)}, {rng.randint(1, 9)}점 만점이 아깝지 않다 {n}" for n in range(80)]
    gate = Gate.around(texts, np.ones(80), np.arange(80))
    assert gate.familiar["appeals"] == 2.0
    assert not (gate.measure("appeals", texts) > gate.familiar["appeals"]).any()
