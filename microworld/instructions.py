"""What a prompt can ask for, in many wordings, and how to see in a text whether it was obeyed."""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

from microworld.contexts import MOODS, PHOTOS
from microworld.writer import CLOSINGS, COMPANION_ACTS, EXCLAMATIONS, SENSES

_ENDINGS = {
    "써": ("써 줘.", "써 주세요.", "쓰세요.", "써라.", "작성해 주세요.", "적어 줘.", "적어 주세요."),
    "넣어": ("넣어 줘.", "넣어 주세요.", "넣으세요.", "담아 줘.", "담아 주세요.", "포함해 주세요."),
    "마": ("쓰지 마.", "쓰지 마세요.", "쓰지 말아 줘.", "적지 마세요.", "넣지 마.", "넣지 말아 주세요."),
    "답해": ("답해 줘.", "답해 주세요.", "답하세요.", "답하라.", "골라 주세요.", "고르세요."),
}


@dataclass(frozen=True)
class Instruction:
    """One thing a prompt may ask for.

    group: at most one instruction of a group stands in a prompt ("세 문장" excludes "한 문장").
    cores × _ENDINGS[ending] are its wordings. raises: the text property it moves, and which way.
    """

    key: str
    group: str
    cores: tuple[str, ...]
    ending: str
    property: str
    direction: int

    def wordings(self) -> list[str]:
        return [f"{core} {ending}" for core in self.cores for ending in _ENDINGS[self.ending]]


INSTRUCTIONS = {
    i.key: i
    for i in (
        Instruction("short", "length", ("한 문장으로", "아주 짧게 한 문장만", "한 줄로 간단히", "딱 한 문장만"), "써", "sentences", -1),
        Instruction("medium", "length", ("세 문장으로", "세 문장 정도로", "세 문장 분량으로", "문장 세 개로"), "써", "sentences", +1),
        Instruction("long", "length", ("다섯 문장으로", "다섯 문장 정도로 길게", "다섯 문장 분량으로", "길게 다섯 문장으로"), "써", "sentences", +1),
        Instruction("detail", "detail", ("사진 속 구체적인 물건을", "사진에 보이는 작은 것들을 자세히", "사진 속 사물의 모습을 구체적으로", "눈에 보이는 세부를"), "넣어", "details", +1),
        Instruction("sensory", "sensory", ("소리나 냄새 같은 감각을", "오감으로 느낀 것을", "감각적인 표현을", "들리고 느껴지는 것을"), "넣어", "senses", +1),
        Instruction("companion", "companion", ("함께한 사람과 한 일을", "같이 있던 사람의 모습을", "누구와 무엇을 했는지를", "함께 보낸 순간을"), "넣어", "companion_acts", +1),
        Instruction("closing", "closing", ("마지막에 느낀 점을", "끝에 하루를 돌아보는 말을", "마무리 생각을", "마지막 문장에 여운을"), "넣어", "closings", +1),
        Instruction("given_mood", "feelings", ("주어진 기분 외의 감정은", "없는 감정을 지어내어", "알려 준 기분과 다른 감정은", "기분을 꾸며서"), "마", "invented_feelings", -1),
        Instruction("no_heading", "heading", ("제목이나 목록은", "제목과 번호는", "머리말이나 기호 목록은", "목록 형식으로는"), "마", "headings", -1),
        Instruction("heading", "heading", ("맨 앞에 제목을 붙여", "제목을 달고", "제목부터 정하고", "항목별로 나누어"), "써", "headings", +1),
        Instruction("plain", "form", ("나만 보는 일기체로", "반말 일기 형식으로", "'-다'로 끝나는 일기체로", "담백한 일기 말투로"), "써", "not_plain", -1),
        Instruction("polite", "form", ("존댓말로", "공손한 말투로", "정중하게 존댓말로", "손님에게 말하듯"), "써", "not_plain", +1),
        Instruction("exclaim", "exclaim", ("감탄사를 많이", "신나는 느낌표를 가득", "과장된 표현을 잔뜩", "놀라는 말을 자주"), "넣어", "exclamations", +1),
    )
}  # fmt: skip

GROUPS = tuple(dict.fromkeys(i.group for i in INSTRUCTIONS.values()))

_TASKS = (
    "사진 일기를 써 줘.", "오늘의 일기를 작성해 주세요.", "사진을 보고 일기를 쓰세요.", "다음 정보로 일기를 써 주세요.",
    "아래 내용을 바탕으로 일기를 적어 줘.", "이 사진에 어울리는 일기를 써라.",
)  # fmt: skip
_CONTEXTS = (
    "장소는 {place}, 함께한 사람은 {people}, 기분은 {mood}, 사진은 {photo}.",
    "장소: {place}, 사람: {people}, 기분: {mood}, 사진: {photo}.",
    "사진은 {photo}, 장소는 {place}, 같이 간 사람은 {people}, 기분은 {mood}.",
    "기분은 {mood}, 함께한 사람은 {people}, 사진은 {photo}, 장소는 {place}.",
)


UNWANTED = frozenset({"short", "heading", "polite", "exclaim"})


def sample_instructions(
    rng: random.Random,
    wanted: float,
    unwanted: float,
    instructions: Mapping[str, Instruction] = INSTRUCTIONS,
    bad_keys: frozenset[str] = UNWANTED,
) -> tuple[str, ...]:
    """A random set of instruction keys, at most one per group, sorted.

    wanted: probability that a group asks for what makes a reply better; unwanted: for what makes it
    worse, which is what `bad_keys` do (of a diary: one line only, headings, politeness, exclamations).
    Their sum is at most 1.
    """
    chosen = []
    for group in dict.fromkeys(i.group for i in instructions.values()):
        members = [i.key for i in instructions.values() if i.group == group]
        bad = [k for k in members if k in bad_keys]
        good = [k for k in members if k not in bad_keys]
        draw = rng.random()
        if good and draw < wanted:
            chosen.append(rng.choice(good))
        elif bad and draw >= 1 - unwanted:
            chosen.append(rng.choice(bad))
    return tuple(sorted(chosen))


def template(keys: tuple[str, ...], rng: random.Random) -> str:
    """A prompt template with the four slots that asks for `keys`, in random wordings and order."""
    lines = [rng.choice(INSTRUCTIONS[k].wordings()) for k in keys]
    rng.shuffle(lines)
    head, slots = rng.choice(_TASKS), rng.choice(_CONTEXTS)
    body = [head, slots, *lines] if rng.random() < 0.5 else [head, *lines, slots]
    return " ".join(body)


def held_out(keys: tuple[str, ...]) -> bool:
    """Whether this combination is kept out of the corpus, to test obedience on: a stable tenth of them."""
    return sum(ord(c) for c in "|".join(keys)) % 10 == 0


_POLITE = re.compile(r"습니다|드릴게요|드립니다")
_HEADING = re.compile(r"(?m)^\s*(제목|[-•*]|\d+\.)")


def properties(text: str, context: dict) -> dict[str, float]:
    """What the instructions govern, measured on one diary: name -> count (sentences…) or 0/1."""
    stems = {m: s for m, s in MOODS.items() if m != context["mood"]}
    return {
        "sentences": float(len(re.findall(r"(?:다|요)\b[.!]*|\n-", text))),
        "details": float(sum(d in text for d in PHOTOS[context["photo"]])),
        "senses": float(any(s in text for s in SENSES)),
        "companion_acts": float(any(act in text for act in COMPANION_ACTS)),
        "closings": float(any(c in text for c in CLOSINGS)),
        "invented_feelings": float(any(s in text for s in stems.values())),
        "headings": float(bool(_HEADING.search(text))),
        "not_plain": float(bool(_POLITE.search(text))),
        "exclamations": float(text.count("!") + sum(e in text for e in EXCLAMATIONS)),
    }
