"""Korean grammar by Kiwi: what is counted, and that order and grammar are heard."""

import random

import numpy as np
import pytest

from memozy.reward.korean import KOREAN, TAGS, korean_features, word_stems
from tests.rated import rated_rows

SENTENCES = [
    "오늘 오랜 친구와 바닷가를 걸으며 저녁노을을 구경했다.",
    "엄마가 끓여 준 미역국을 먹고 나니 마음이 따뜻해졌다.",
    "비가 와서 공원에 사람이 없어 조용히 산책할 수 있었다.",
    "동생은 새로 산 자전거를 타고 학교 운동장을 세 바퀴 돌았다.",
    "처음 가 본 시장에서 할머니가 떡을 하나 더 얹어 주셨다.",
]


def columns(text: str) -> dict[str, float]:
    return dict(zip(KOREAN, korean_features([text])[0], strict=True))


@pytest.mark.parametrize("sentence", SENTENCES)
def test_words_out_of_order_sound_worse(sentence):
    words = sentence.rstrip(".").split()
    for seed in range(3):
        mixed = random.Random(seed).sample(words, len(words))
        assert mixed != words
        wrong = " ".join(mixed) + "."
        assert columns(wrong)["log_score_a_letter"] < columns(sentence)["log_score_a_letter"]
        assert columns(wrong)["log_score_a_morpheme"] < columns(sentence)["log_score_a_morpheme"]


def test_letters_without_words_sound_worse_than_any_sentence():
    sentences = korean_features(SENTENCES)[:, 0]
    assert columns("뷁쉙 꿻랾 훓뜳 쀍")["log_score_a_morpheme"] < sentences.min()


def test_counts_by_hand():
    # 민수/NNP 가/JKS 서울/NNP 에/JKB 가/VV 았/EP 다/EF ./SF: eight morphemes, three of them with a meaning
    found = columns("민수가 서울에 갔다.")
    assert found["proper_nouns"] == 2.0
    assert found["distinct_content_words"] == 3.0
    shares = {tag: round(8 * found[f"share_{tag}"]) for tag in TAGS if found[f"share_{tag}"]}
    assert shares == {"NNP": 2, "JKB": 1, "VV": 1, "EP": 1, "EF": 1, "SF": 1}
    assert found["share_NNP"] == pytest.approx(2 / 8)


def test_any_text_has_a_row_of_its_own():
    texts = ["", " ", "!?", "abc", "ㅋ" * 300, "🌸", "\u200b", *rated_rows(5, 1, seed=0).features.texts]
    rows = korean_features(texts)
    assert rows.shape == (len(texts), len(KOREAN)) and np.isfinite(rows).all()
    assert np.array_equal(korean_features(texts[::-1]), rows[::-1])
    assert np.array_equal(korean_features(texts[-1:]), rows[-1:])
    assert korean_features([]).shape == (0, len(KOREAN))


def test_stems_by_hand():
    assert word_stems(["바다에 갔다", "바다로 가는 길", "", "갔다. 갔다!"]) == ["바다 가다", "바다 가다 길", "", "가다 . 가다 !"]
    # 행복/NNG 하/XSV: whatever a verb was made of, it ends as in a dictionary
    assert word_stems(["정말 행복했다"]) == ["정말 행복 하다"]
    assert word_stems([]) == []


def test_particles_and_endings_make_no_difference():
    past, polite = word_stems(["친구와 시장에서 국수를 먹었다", "친구랑 시장으로 국수도 먹습니다"])
    assert past == polite == "친구 시장 국수 먹다"


def test_a_text_has_the_same_stems_wherever_it_stands():
    texts = ["!?", "ㅋ" * 300, *rated_rows(5, 1, seed=0).features.texts]
    assert word_stems(texts[::-1]) == word_stems(texts)[::-1]
