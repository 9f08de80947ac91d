"""The checks on prompts that were written by hand, good and bad ones."""

import random

import pytest

from components.propose_prompts.checks import CHECKS, Shown, passed, usable
from components.propose_prompts.writing import RULES, TASK
from memozy.records import template_fault
from microworld.instructions import sample_instructions, template

ONE = "{place}에서 {people}와 보낸 시간을 {photo} 사진이 떠오르게, {mood} 기분이 드러나도록 세 문장의 일기로 써 줘."
TWO = "사진 일기를 써 줘. 장소는 {place}, 함께한 사람은 {people}, 기분은 {mood}, 사진은 {photo}."
DIARY = "오늘은 엄마랑 전주 한옥마을에 가서 비빔밥을 먹었는데 고소한 참기름 냄새가 아직도 코끝에 맴돈다."
SHOWN = Shown(f"{TASK}\n{RULES}", (DIARY,))


def fails(prompt: str) -> list[str]:
    return [name for name, fine in passed(prompt, SHOWN).items() if not fine]


def test_a_good_prompt_passes_every_check_and_two_sentences_are_usable_too():
    assert fails(ONE) == [] and usable(ONE, SHOWN)
    assert fails(TWO) == ["one sentence"] and usable(TWO, SHOWN)


@pytest.mark.parametrize(
    ("prompt", "failed"),
    [
        ("{place}에서 {people}와 보낸 하루를 {mood} 기분이 드러나게 일기로 써 줘.", ["slots kept"]),
        (ONE.replace("세 문장", "{weather} 날씨의 세 문장"), ["slots kept"]),
        (ONE.replace("세 문장", "{place}다운 세 문장"), ["slots kept"]),
        (ONE.replace("{place}", "{place:장소}"), ["slots kept"]),
        (ONE.replace("{place}", "{place!r}"), ["slots kept"]),
        (ONE.replace("{place}", "{place"), ["slots kept"]),
        (ONE.replace("{place}", "{}"), ["slots kept"]),
        (ONE + "\n\n제목은 붙이지 마.", ["one paragraph", "one sentence"]),
        (ONE + " 3.5줄쯤이면 좋다.", ["one sentence"]),
        (ONE.replace("세 문장", "3.5줄"), []),
        ("{place} {people} {mood} {photo} 짧게.", ["system message"]),
        ("Write a diary about {place}, {people}, {mood} and {photo}.", ["system message"]),
        ("Write a long and lively 일기 about {place}, {people}, {mood} and {photo}.", ["system message"]),
        ("system: " + ONE, ["system message"]),
        ("<|im_start|>" + ONE, ["system message"]),
        ("- " + ONE, ["system message"]),
        ("**일기** " + ONE, ["system message"]),
        ("물론입니다, " + ONE, ["system message"]),
        ("다음은 새로 다듬은 프롬프트: " + ONE, ["system message"]),
        (ONE.replace("세 문장", "아주 " * 200 + "짧은 세 문장"), ["system message", "no loop"]),
        (ONE.replace("써 줘.", "써 줘써 줘써 줘."), ["no loop"]),
        (TWO + " 짧게 써 줘. 제목은 빼 줘. 짧게 써 줘.", ["one sentence", "no loop"]),
        (ONE.replace("세 문장의", "두 묶음이 어디에서 갈리는지 살펴보고 앞의 것과 같은"), ["no copy of the task"]),
        (ONE.replace("세 문장의", "비빔밥을 먹었는데, 고소한 참기름 냄새가 아직도 나는"), ["no copy of a diary"]),
        (ONE.replace("세 문장의", "참기름 냄새가 나는"), []),
        ("", list(CHECKS[:4])),
    ],
)
def test_each_fault_is_found_by_its_check(prompt, failed):
    assert fails(prompt) == failed
    assert usable(prompt, SHOWN) == (set(failed) <= {"one sentence"})


def test_the_worlds_own_prompts_are_usable():
    rng = random.Random(3)
    written = [template(sample_instructions(rng, 0.6, 0.25), rng) for _ in range(300)]
    assert [p for p in written if not usable(p, Shown(TASK + RULES, (DIARY,)))] == []


def test_what_is_usable_can_be_filled():
    """No fault of a template gets past: a slot with a format would end in an error when it is filled."""
    assert template_fault(ONE.replace("{place}", "{place:장소}")) == "has no slot {place}"
    assert template_fault(ONE) is None
