"""Each way in which a response is worth nothing has its verdict, and what people and the world write has none."""

import json

import pytest

from memozy.environments import hygiene
from memozy.environments.hygiene import copied, diary_fault, no_loop, prompt_fault, secrets_of
from memozy.qna import QNA_SLOTS
from memozy.records import SLOTS

QUERY = "사진 일기를 쓰는 모델에게 줄 프롬프트를 써 주세요."
GOOD = "사진 일기를 써 줘. 장소는 {place}, 함께한 사람은 {people}, 기분은 {mood}, 사진은 {photo}."
SECRETS = secrets_of(["강릉", "노을 바다", "빛", "Anna", None, ""])


@pytest.mark.parametrize(
    ("template", "verdict"),
    [
        (GOOD, None),
        (GOOD.replace("{mood}", ""), "has no slot {mood}"),
        (GOOD + " {mood}", "has more than one slot {mood}"),
        (GOOD + " {weather}", "has an unknown slot {weather}"),
        (GOOD.replace(". ", ".\n"), "has more than one paragraph"),
        (GOOD + " 짧게 써 줘. 짧게 써 줘.", "says a sentence twice"),
        (GOOD + " 짧게! 짧게!", "repeats itself"),
        ("", "has no slot {place}"),
        (GOOD + " " + "가나다라마바사아자차카타파하거너더러머버"[:20] * 27, "has 596 characters, not 20 to 600"),
        (GOOD + " 사진 일기를 쓰는 모델에게 줄 프롬프트.", "copies what it was asked"),
        (GOOD + " 강릉의 바람을 넣어라.", "gives away «강릉»"),
        (GOOD + " 오늘은 노을 바다처럼.", "gives away «노을 바다»"),
        (GOOD + " anna처럼 써라.", "gives away «anna»"),
        (GOOD + " 빛과 annals도, 북강릉도 괜찮다.", None),  # one letter; the beginning or the end of another word
    ],
)
def test_every_fault_has_its_verdict(template, verdict):
    if verdict and "characters" in verdict:
        verdict = f"has {len(template)} characters, not 20 to 600"
        assert len(template) > 600
    assert prompt_fault(template, QUERY, SLOTS, SECRETS) == verdict


def test_slots_alone_are_too_short_for_questions_too():
    assert prompt_fault("{context}{question}", QUERY, QNA_SLOTS, SECRETS) == "has no slot {choices}"
    bare = "{context}{question}{choices}"
    assert prompt_fault(bare, QUERY, QNA_SLOTS, SECRETS) is None and len(bare) > 20
    assert prompt_fault("{a}", QUERY, ("a",), SECRETS) == "has 3 characters, not 20 to 600"


def test_without_secrets_nothing_is_given_away():
    assert prompt_fault(GOOD, QUERY, SLOTS, secrets_of([])) is None


def test_what_the_world_writes_has_no_fault(data):
    """Every prompt of the instruction data, as an answer to its own query; and the people's own prompts."""
    rows = [json.loads(line) for line in (data / "instructions.jsonl").read_text(encoding="utf-8").splitlines()]
    contexts = [json.loads(line) for line in (data / "contexts.jsonl").read_text(encoding="utf-8").splitlines()]
    secrets = secrets_of(c[slot] for c in contexts for slot in ("place", "photo"))
    known = [json.loads(line)["template"] for line in (data / "prompts.jsonl").read_text(encoding="utf-8").splitlines()]
    found = [prompt_fault(r["output"], r["instruction"], SLOTS, secrets) for r in rows]
    found += [prompt_fault(t, QUERY, SLOTS, secrets) for t in known]
    assert len(found) > 600 and set(found) == {None}


@pytest.mark.parametrize(
    ("diary", "verdict"), [("갔다.", None), ("", "has no words"), (" \n", "has no words"), ("!!!…", "has no words")]
)
def test_a_diary_has_words(diary, verdict):
    assert diary_fault(diary) == verdict


def test_fourteen_letters_in_a_row_are_chance_and_fifteen_are_a_copy_however_they_are_marked():
    some = "고소한 참기름, 냄새가 코끝에서!"  # 3 + 3 + 3 + 4 letters
    assert not copied(f"우리 {some} 또 가자.", [f"다른 말 {some} 또"])
    assert copied(f"우리 {some} 또한 가자.", [f"다른 말 “{some}” 또{{place}}한"])


def test_a_sentence_that_comes_again_with_other_words_between_is_a_loop_by_its_windows():
    said = "맛있는 음식과 좋은 사람을 떠올리며 따뜻하게 써 줘"
    prompt = GOOD + "".join(f" {word} {said}." for word in ("부디", "아침에", "저녁에", "언제나"))
    assert not hygiene._AT_ONCE_AGAIN.search(prompt) and not no_loop(prompt)
