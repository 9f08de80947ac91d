import math

import pytest

from components.train_sft.config import Quality
from components.train_sft.instructions import Fault, Row
from components.train_sft.quality import check, contradictions, evenness, refuse, too_long, without_copies
from memozy.records import InputError
from tests.fakes import tiny_lm

TEXT = Quality(slots=())
LONG = "오늘은 바다에서 친구와 함께 파도를 오래 바라보다가 조개를 주웠고 저녁에는 모래 위에 앉아 노을을 보았다"
GOOD = "{place}에서 {people}와 {mood} 하루를 {photo}로 써 주세요."


def rows(*texts):
    return [Row(n, *text) for n, text in enumerate(texts, start=1)]


def told(faults):
    return [(f.row, f.reason) for f in faults]


def test_copies_are_set_aside_and_the_first_stays():
    given = rows(("써 줘", "", LONG), ("써 줘.", "", LONG + "!"), ("써 줘", "", LONG + "네"), ("달라", "", LONG))
    sound, faults = check(given, TEXT)
    assert [r.number for r in sound] == [1]
    assert told(faults) == [(2, "says what row 1 says"), (3, "says what row 1 says"), (4, "says what row 1 says")]


def test_one_short_answer_to_two_questions_is_no_copy_nor_two_answers_to_one_long_question():
    given = rows(("누가 했나", "철수는 갔고 영희는 남았다", "모른다"), ("무엇을 샀나", "비가 왔고 우산이 없었다", "모른다"),
                 (LONG, "", "그렇다"), (LONG, "", "아니다"))  # fmt: skip
    sound, faults = check(given, TEXT)
    assert len(sound) == 4 and not faults
    assert [[r.number for r in several] for several in contradictions(sound)] == [[3, 4]]
    sound, faults = check(given, TEXT.model_copy(update={"one_answer": True}))
    assert [r.number for r in sound] == [1, 2]
    assert told(faults) == [
        (3, "rows 3, 4 answer one query differently"),
        (4, "rows 3, 4 answer one query differently"),
    ]


@pytest.mark.parametrize(
    "output, quality, reason",
    [
        ("네, 프롬프트를 하나 써 주세요! 라고요", TEXT, "repeats the instruction"),
        (GOOD.replace("}에서", "에서"), Quality(), "broken braces"),
        (GOOD.replace("{photo}", "사진"), Quality(), "has no slot {photo}"),
    ],
)
def test_format(output, quality, reason):
    sound, faults = check(
        rows(("프롬프트를 하나 써 주세요.", "", output), ("프롬프트를 하나 써 주세요.", "", GOOD)), quality
    )
    assert [r.number for r in sound] == [2] and reason in faults[0].reason


def test_a_row_longer_than_the_models_context():
    lm = tiny_lm()  # a context of 256
    short, long = rows(("써 줘", "", "바다"), ("써 줘", "", "바다 " * 300))
    kept, faults = too_long([short, long], lm)
    assert kept == [short] and faults[0].row == 2 and "of 256 in a context" in faults[0].reason


def test_evenness_by_hand():
    assert evenness(rows(*[("a", "", "")] * 3)) == 0.0
    assert evenness(rows(("a", "", ""), ("b", "", ""))) == pytest.approx(1.0)
    three = rows(*[("a", "", "")] * 2, ("b", "", ""), ("c", "", ""))
    assert evenness(three) == pytest.approx(1.5 * math.log(2) / math.log(3))  # 1/2, 1/4, 1/4: 1.5 bits


def test_what_stops_a_run_says_where():
    varied = rows(("a", "", "x"), ("b", "", "y"))
    fault = Fault(7, "output", "…", "is empty")
    refuse(5, [fault], varied, Quality(), "f")  # a fifth may go
    with pytest.raises(
        InputError, match="f, row 7, field 'output'.*is empty, and 2 of 5 rows cannot be used: more than 20%"
    ):
        refuse(5, [fault, Fault(9, "output", "", "")], varied, Quality(), "f")
    with pytest.raises(InputError, match="has 1 distinct instructions, 2 are wanted"):
        refuse(5, [], varied[:1], Quality(), "f")
    with pytest.raises(InputError, match="value 'a': 99 of 100 rows have this one: evenness 0.08"):
        refuse(100, [], rows(*[("a", "", "x")] * 99, ("b", "", "y")), Quality(), "f")


def test_kept_rows_that_repeat_are_left_out():
    held_out, more = (
        rows(("써 줘", "", LONG)),
        rows(("써 줘", "", LONG + "."), ("써 줘", "", "산에 갔다"), ("써 줘", "", "산에 갔다!")),
    )
    assert [r.number for r in without_copies(more, held_out, 0.95)] == [2]
