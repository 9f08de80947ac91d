"""What became of a draft."""

import random
import unicodedata

import pytest
from sacrebleu.metrics import CHRF

from memozy.edits import Edit, chrf, compare, edit_value

DRAFT = "오늘 바다에 갔다. 파도가 잔잔했다."


def test_chrf_by_hand():
    # letters a b d stay, 3 of 4; of the pairs ab bc cd one of 3
    assert chrf("abcd", "abXd") == pytest.approx((3 / 4 + 1 / 3) / 2)
    # precision (3/3 + 2/2) / 2, recall (3/4 + 2/3) / 2 = 17/24: 2 · 17/24 / (1 + 17/24)
    assert chrf("abc", "abcd") == pytest.approx(34 / 41)
    assert chrf("abc", "a b\nc") == 1 and chrf("abc", "xyz") == 0
    assert chrf("", "") == chrf(" ", "") == 1 and chrf("a", "") == 0 and chrf("a", "ab") == pytest.approx(2 / 3)


def test_chrf_is_sacrebleus():
    theirs, draw = CHRF(char_order=2, word_order=0, beta=1), random.Random(0)
    for _ in range(300):
        a, b = ("".join(draw.choices("가나 다라.ab", k=draw.randint(1, 12))) for _ in range(2))
        if a.strip() and b.strip():
            assert chrf(a, b) == pytest.approx(theirs.sentence_score(a, [b]).score / 100)


def test_one_text_in_two_encodings_is_one_text():
    decomposed = unicodedata.normalize("NFD", DRAFT)
    assert decomposed != DRAFT and compare(DRAFT, decomposed) == compare(decomposed, DRAFT) == Edit(1.0, 0.0)


@pytest.mark.parametrize(
    ("final", "addition"),
    [
        (DRAFT + " 정말 좋았다.", "정말 좋았다."),
        ("방학이다! " + DRAFT, "방학이다!"),
        ("방학이다! " + DRAFT + " 정말 좋았다. 또 가고 싶다.", "방학이다! 정말 좋았다. 또 가고 싶다."),
        ("오늘 바다에 갔다. 친구도 왔다. 파도가 잔잔했다.", "친구도 왔다."),
        ("오늘 바다에 갔다.\n친구도 왔다\n파도가 잔잔했다.", "친구도 왔다"),
        ("파도가 잔잔했다. 친구도 왔다. 오늘 바다에 갔다.", "친구도 왔다."),
        (DRAFT[:-1] + " 그래서 좋았다.", "그래서 좋았다"),  # the same sentence, longer
        (DRAFT + " 😀", "😀"),
    ],
)
def test_an_addition_is_no_correction(final, addition):
    found = compare(DRAFT, final)
    size = len("".join(final.split()))
    assert found.added == pytest.approx(len("".join(addition.split())) / size)
    assert found.similarity > 0.9 and edit_value(DRAFT, final) == 1


@pytest.mark.parametrize(
    "final",
    [
        "회사에서 야근을 했다.",  # another text
        "오늘 바다에 갔다. 회사에서 야근을 했다.",  # a new sentence in the stead of one
        "오늘 바다에 갔다. 회사에서 야근을 했다. 밤이 깊었다.",
        "오늘 내 친구와 바다에 갔다. 파도가 잔잔했다.",  # within a sentence
        "오늘 바다에 갔다. 파도가",
        "오늘. 바다에 갔다! 파도가 잔잔했다.",  # one sentence as two
        "",
    ],
)
def test_a_correction_is_no_addition(final):
    found = compare(DRAFT, final)
    assert found.added == 0 and found.similarity == chrf(DRAFT, final) < 1
    assert found.corrected == 1 - found.similarity


def test_an_edit_may_add_and_correct():
    found = compare(DRAFT, "오늘 산에 갔다. 파도가 잔잔했다. 정말 좋았다.")
    assert found == Edit(chrf(DRAFT, "오늘 산에 갔다. 파도가 잔잔했다."), pytest.approx(6 / 21))


def test_the_plain_rule():
    kept, half, anew = "abcdefghij" * 2 + ".", "abcdefghijklmno", "xyz"
    assert edit_value(kept, kept[:-1] + "!") == 1  # 20 of 21 letters, 19 of 20 pairs
    # 10 of 15 and 10 letters, 9 of 14 and 9 pairs: 2 · 0.655 / 1.655 = 0.79
    assert edit_value(half, half[:10]) == 0
    assert edit_value(half, anew) == edit_value(half, "") == -0.5


def test_a_text_of_any_length_takes_little_time():
    long = "오늘 바다에 갔다. " * 20_000
    assert compare(long, long + "정말 좋았다.").similarity == 1
    assert compare("x" + long, long).similarity > 0.99
