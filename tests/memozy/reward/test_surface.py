"""What texts show on their surface: statistics and rubric counts by hand, and their safety on any text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memozy.reward.surface import CRITERIA, MOST, SURFACE, surface_features

DIARY = "오늘 친구와 해운대에 다녀왔다. 젖은 모래와 갈매기를 사진에 담았다. 바람 소리가 좋았고 마음이 편안했다."


def features(text: str) -> dict[str, float]:
    return dict(zip(SURFACE, surface_features([text])[0], strict=True))


def test_statistics_by_hand():
    f = features("오늘 부산에 갔다. 정말 좋았다! 정말 즐겁습니다")
    # 10 + 1 + 7 + 1 + 8 = 27 characters, 3 + 2 + 2 = 7 words of which 정말 stands twice
    assert (f["characters"], f["sentences"], f["distinct_words"]) == (27.0, 3.0, 6.0)
    assert f["distinct_word_share"] == pytest.approx(6 / 7)
    assert (f["exclamation_marks"], f["full_stops"], f["lines"]) == (1.0, 1.0, 1.0)
    # of three sentences two end in past-tense 다 (갔다, 좋았다) and one in 니다
    assert f["plain_share"] == pytest.approx(2 / 3)
    assert f["past_share"] == pytest.approx(2 / 3)
    assert f["polite_share"] == pytest.approx(1 / 3)
    assert f["mixed_speech"] == 1.0
    assert f["letters_up_to_50"] == 19.0, "neither marks nor spaces make a text longer"
    # 6 spaces; of the other 21 characters all but . and ! are Hangul
    assert f["hangul_share"] == pytest.approx(19 / 21)


def test_structure_and_repetition():
    f = features("제목: 바다\n- 갔다\n- 갔다")
    assert (f["lines"], f["listed_lines"], f["colons"]) == (3.0, 3.0, 1.0)
    # "가나가나가나" has three windows of four characters: 가나가나, 나가나가, 가나가나
    assert features("가나가나가나")["repeated_gram_share"] == pytest.approx(1 / 3)


def test_what_a_rich_diary_tells():
    f = features(DIARY)
    found = {name for name in CRITERIA["richness"] if f[name] and not name.startswith(("distinct", "kinds"))}
    # 해운대 · 친구 · 편안 · 좋았 · 오늘 · 사진 · 모래 · 바람 소리
    assert found == {"places", "companions", "moods", "feeling_good", "times", "photos", "views", "senses"}
    assert (f["kinds_of_richness"], f["senses"]) == (8.0, 2.0)
    assert f["kinds_of_not_a_diary"] == 0.0


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("주신 사진으로 일기를 작성했다.", "about_writing"),
        ("더 알려 주시면 다시 써 드릴게요.", "to_a_reader"),
        ("**오늘** 산책했다.", "markup"),
        ("제목: 산책\n오늘 걸었다.", "headings"),
        ("오늘 걸었다.\n\n내일도 걷는다.", "blank_lines"),
    ],
)
def test_what_is_not_a_diary(text, name):
    assert features(text)[name] > 0
    assert features(DIARY)[name] == 0


@pytest.mark.parametrize(
    ("text", "name", "count"),
    [
        ("진짜 예뻤다. 정말 진짜!", "strong_words", 3),
        ("기분은 좋았다. 기분이 들떴다.", "stated_mood", 2),
        ("기분도 좋은 날, 기분 좋게 걸었다.", "mood_in_passing", 2),
        ("이런 저런 곳을 여기저기 돌았다.", "pointing", 3),
        ("다음에 또 오고 싶다", "hopes", 3),
        ("맛있어 보였다. 즐거웠나 보다.", "guesses", 2),
        ("여수 갔다왔따. 좋은 날이였다.", "slips", 2),
        ("오늘\u200b은 좋은 day였다 🌸", "invisible", 1),
        ("오늘\u200b은 좋은 day였다 🌸", "foreign", 1),
        ("오늘\u200b은 좋은 day였다 🌸", "pictographs", 1),
    ],
)
def test_naturalness_counts(text, name, count):
    assert features(text)[name] == count


def test_a_place_name_inside_another_word_is_no_place():
    assert features("가을 전시를 봤다, 사파리는 넓었다")["places"] == 0, "사파리 (safari) is not 파리 (Paris)"
    assert features("파리에서 파리까지")["places"] == 2


def test_repeating_a_phrase_stops_paying():
    once, often = features("행복했다."), features("행복했다. " * 30)
    assert (once["moods"], often["moods"]) == (1.0, MOST)


def test_every_column_serves_one_criterion():
    assert sorted(name for columns in CRITERIA.values() for name in columns) == sorted(SURFACE)
    assert len(set(SURFACE)) == len(SURFACE)
    assert set(CRITERIA) == {"richness", "naturalness", "length", "not a diary"}


def test_no_text_no_rows():
    assert surface_features([]).shape == (0, len(SURFACE))


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.sampled_from("가나다요오늘서울기분은. !?~\n-:#*[]a1\u200b🌸") | st.characters(), max_size=200))
def test_any_text_has_finite_features(text):
    row = surface_features([text])
    assert row.shape == (1, len(SURFACE))
    assert np.isfinite(row).all() and (row >= 0).all()
