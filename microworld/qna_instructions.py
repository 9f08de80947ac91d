"""What a prompt for questions can ask for, in many wordings, and how a model that obeys it answers."""

import random

from microworld.instructions import Instruction, sample_instructions
from microworld.questions import places

QNA_INSTRUCTIONS = {
    i.key: i
    for i in (
        Instruction("evidence", "reading", ("맥락에 나온 근거를 꼼꼼히 읽고", "맥락을 끝까지 잘 읽고", "맥락에 적힌 사실만 보고", "근거를 맥락에서 찾아"), "답해", "right", +1),
        Instruction("hunch", "reading", ("맥락은 대충 보고", "직감으로 빠르게", "첫 느낌대로", "깊이 생각하지 말고"), "답해", "right", -1),
        Instruction("abstain", "unknown", ("맥락에 답이 없으면 알 수 없다고", "맥락만으로 정해지지 않으면 모른다고", "근거가 없을 때에는 알 수 없다는 쪽으로", "누구인지 나오지 않으면 알 수 없다고"), "답해", "abstained_untold", +1),
        Instruction("guess", "unknown", ("모르더라도 반드시 하나를 찍어서", "알 수 없다는 답은 빼고", "답이 없어도 그럴듯한 쪽으로", "모른다고 하지 말고 추측해서"), "답해", "abstained_untold", -1),
        Instruction("cautious", "unknown", ("조금이라도 의심스러우면 알 수 없다고", "웬만하면 모른다고", "완전히 확실하지 않으면 모두 알 수 없다고", "틀릴까 걱정되면 모른다고"), "답해", "abstained_told", +1),
        Instruction("always_unknown", "unknown", ("언제나 알 수 없다고만", "무조건 모른다고", "모든 질문에 알 수 없다고", "항상 알 수 없다는 선택지로"), "답해", "abstained_told", +1),
        Instruction("always_first", "unknown", ("언제나 첫 번째 선택지로", "무조건 맨 위의 것으로", "항상 1번으로", "늘 처음 나온 선택지로"), "답해", "first", +1),
        Instruction("only", "form", ("선택지 하나만으로", "선택지에 적힌 말만 써서", "다른 말 없이 답 하나로", "설명 없이 선택지 그대로"), "답해", "readable", +1),
        Instruction("explain", "form", ("이유를 길게 설명하며", "생각을 자세히 풀어서", "망설이는 마음까지 적어", "여러 가능성을 모두 들어"), "답해", "readable", -1),
    )
}  # fmt: skip
QNA_UNWANTED = frozenset({"hunch", "guess", "cautious", "always_unknown", "always_first", "explain"})
GOOD = ("abstain", "evidence", "only")

_TASKS = (
    "맥락을 보고 질문에 답해 줘.", "다음 질문의 답을 고르세요.", "아래 질문에 답해 주세요.", "질문에 맞는 선택지를 골라 주세요.",
    "선택지 가운데 답을 골라 줘.", "다음을 읽고 물음에 답하라.",
)  # fmt: skip
_FRAMES = (  # in one line: a template is one paragraph
    "맥락: {context} 질문: {question} 선택지: {choices}",
    "[맥락] {context} [질문] {question} [선택지] {choices}",
    "맥락은 다음과 같다. {context} 질문은 이렇다. {question} 선택지는 다음과 같다. {choices}",
)
_TALK = (
    "글쎄요, 여러 답이 그럴듯해요.",
    "음, 생각할 것이 많은 질문이네요.",
    "차근차근 따져 보면 흥미로운 이야기입니다.",
)


def random_keys(rng: random.Random, wanted: float, unwanted: float) -> tuple[str, ...]:
    """A random set of instruction keys; see `instructions.sample_instructions`."""
    return sample_instructions(rng, wanted, unwanted, QNA_INSTRUCTIONS, QNA_UNWANTED)


def qna_template(keys: tuple[str, ...], rng: random.Random) -> str:
    """A prompt template with the slots of memozy.qna.QNA_SLOTS that asks for `keys`, in random wordings and order."""
    lines = [rng.choice(QNA_INSTRUCTIONS[k].wordings()) for k in keys]
    rng.shuffle(lines)
    head, frame = rng.choice(_TASKS), rng.choice(_FRAMES)
    return " ".join([head, *lines, frame] if rng.random() < 0.6 else [head, frame, *lines])


def answer_chances(keys: tuple[str, ...], row: dict) -> list[float]:
    """How a model that obeys `keys` answers: the chance of each of the three choices, then that of talk without an answer.

    Unasked, it is careless: where the context tells it is right in 65 %, where not it guesses, and a quarter of its
    answers name no single choice.
    """
    asked, (right, unknown) = set(keys), places(row)
    told = right != unknown
    if "always_first" in asked:
        among = [0.98, 0.01, 0.01]
    else:
        abstains, correct = _abstains(asked, told), 0.97 if "evidence" in asked else 0.5 if "hunch" in asked else 0.68
        if not told:
            correct = 0.5  # of two guesses
        target = right if told else next(i for i in range(3) if i != unknown)
        among = [
            abstains if i == unknown else (1 - abstains) * (correct if i == target else 1 - correct) for i in range(3)
        ]
    talk = 0.0 if "only" in asked else 0.9 if "explain" in asked else 0.25
    return [p * (1 - talk) for p in among] + [talk]


def _abstains(asked: set[str], told: bool) -> float:
    """The chance of saying «unknown»."""
    if "always_unknown" in asked:
        return 0.98
    if "guess" in asked:
        return 0.0
    if "cautious" in asked:
        return 0.65 if told else 0.98
    if "abstain" in asked:
        if told:
            return 0.02 if "evidence" in asked else 0.12
        return 0.75 if "hunch" in asked else 0.97
    if told:
        return 0.01 if "evidence" in asked else 0.05
    return 0.25 if "evidence" in asked else 0.0 if "hunch" in asked else 0.1


def answer(keys: tuple[str, ...], row: dict, rng: random.Random) -> str:
    """A choice's text, or talk that memozy.qna.verify calls unreadable, drawn from `answer_chances`."""
    kind = rng.choices(range(4), answer_chances(keys, row))[0]
    return row["choices"][kind] if kind < 3 else rng.choice(_TALK)
