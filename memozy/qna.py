"""Questions with choices (맥락, 질문, 선택지): read, put into a prompt, and their answers verified without a model.

The verifier would rather call an answer unreadable than guess what it names: a prompt is to be rewarded for answers
that anybody can read. What it reads, in this order:

1. `{"answer": …}`: the value, and nothing around it. Broken JSON is unreadable.
2. What is declared («정답: …», «답은 …», "the answer is …"): to the end of that sentence, and nothing around it. A
   retraction («아니, …») makes it unreadable.
3. Else the whole answer, without the context and the question where they are quoted in full.

There it looks for labels (2, «2번», «2)», ②, B), for the choices' own texts, a longer one before one that it holds, and
for an abstention. A label counts wherever it stands by itself: «2. 여자» and «2번» name one choice, «1. 남자 2. 여자» and
«1, 2번» name two. Exactly one choice has to be named, and none denied: «2번이 아니라 1번» names two and «2번은 아니다»
denies one, so both are unreadable. A negation that stands so in the question or its context («술을 마시지 않는 사람은
여자») denies nothing. Another word for a choice («여성» for «여자») names none.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import polars as pl

from memozy.records import Field, InputError, Schema, fill, read_jsonl

QNA_SLOTS = ("context", "question", "choices")
REWARDS = {"correct": 1.0, "abstained": 0.0, "wrong": -1.0, "unreadable": -1.0}  # by kind of answer

QUESTIONS = Schema("questions", ("question_id",), {
    "question_id": Field(pl.String, "stable identifier; its first two parts by '-' name the template it was made from"),
    "context": Field(pl.String, "what is told before the question (맥락)"),
    "question": Field(pl.String, "what is asked (질문)"),
    "choices": Field(pl.List(pl.String), "the possible answers, two to ten of them (선택지)"),
    "answer": Field(pl.String, "the right one of the choices, word for word"),
})  # fmt: skip

# What «unknown» is called, spaces free: the beginnings of words that a choice ends in, or that an answer holds.
ABSTENTIONS = (
    "알 수 없", "알 수가 없", "알 수는 없", "알기 어렵", "알기는 어렵", "알지 못", "알려지지 않", "모르", "모름", "모릅", "몰라",
    "판단할 수 없", "판단하기 어렵", "판단 불가", "판단이 불가", "결정할 수 없", "확인할 수 없", "구분할 수 없", "특정할 수 없",
    "추론할 수 없", "단정할 수 없", "말할 수 없", "답할 수 없", "대답할 수 없", "답변할 수 없", "답하기 어렵", "답변하기 어렵",
    "불확실", "불분명", "미상", "확실하지 않", "분명하지 않", "명시되지 않", "언급되지 않", "나와 있지 않", "정보가 부족", "정보 부족",
    "정보가 충분하지 않", "정보가 없", "unknown", "undetermined", "not enough info", "insufficient info", "not specified",
    "cannot be determined", "can't be determined", "cannot be known", "can't be known", "cannot answer", "can't answer",
    "cannot tell", "can't tell", "not known", "not sure", "don't know",
)  # fmt: skip
_STEM = "(?:" + "|".join(re.escape(each).replace(r"\ ", r"\s*") for each in ABSTENTIONS) + ")"
_ABSTAINS = re.compile(rf"(?<!\w){_STEM}\w*")
_ABSTAINING_CHOICE = re.compile(rf"(?:.*\s)?{_STEM}\w*\.?")

_ENDING = (r"(?:들?(?:이|가|은|는|을|를|의|도|만|와|과|로|으로|에게|께서|임|인|다|이다|요|예요|이?에요|이?죠|이?네요"
           r"|이?며|이고|입니다|이?라\w*|일|이?었\w*|였\w*)?)(?!\w)")  # fmt: skip
_LABEL = re.compile(rf"(?<![\w.])제?\s?([a-e]|\d+)(?!\.\d)(?:번째?)?{_ENDING}(?!\s+(?!and\b|or\b)[a-z]{{2}})")
_DENIES = re.compile(
    r"아니|아닌|아닐|아님|아닙|않|못|없|말고|빼고|제외|틀[렸린]|오답|\b(?:not?|neither|nor|except|wrong|cannot)\b|n't\b"
)
_RETRACTS = re.compile(r"(?<!\w)(?:아니(?=[\s,.!…])|아니[요야에]|아뇨|정정|다시\s*생각|actually|wait|sorry)")
_DECLARES = re.compile(r"(?<!\w)(?:정답|답변|대답|답|answer)(?:은|는|이|\s+is)?(?:\s*[:=→]\s*|(?<=[은는이s])\s+)")
_SENTENCE = re.compile(r"\n|(?<=[가-힣])[.!?。]")
_QUOTES = re.compile(r"[\"“”‘’`*_«»「」『』\ufe0f\u20e3]|(?<!\w)'|'(?!\w)")
_OBJECT = re.compile(r"\{[^{}]*\}")
_UNKNOWN = -1  # named by an abstention where no choice is one


class Verdict(NamedTuple):
    """score: in [-1, 1]; kind: a key of REWARDS."""

    score: float
    kind: str


def read_questions(path: str | Path, n: int) -> list[dict]:
    """The first `n` questions of a JSONL file of QUESTIONS.

    Keys: context_id (the question_id), group_id (questions made from one template share it), context, question,
    choices (list of texts), answer (index of the right choice), abstain (index of the choice that means «unknown», or
    None). Raises InputError for what is wrong with a row, or where there are fewer rows.
    """
    rows = read_jsonl(path, QUESTIONS).to_dicts()
    if len(rows) < n:
        raise InputError(f"holds {len(rows)} questions, {n} are asked for", file=path, field="n_contexts", value=n,
                         remedy="Add questions or ask for fewer")  # fmt: skip
    return [_checked(row, path, number) for number, row in enumerate(rows[:n], start=1)]


def _checked(row: dict, path: str | Path, number: int) -> dict:
    choices, plain = row["choices"], [_plain(each or "") for each in row["choices"]]
    abstaining = [i for i, each in enumerate(plain) if _ABSTAINING_CHOICE.fullmatch(each)]

    def refuse(field: str, problem: str, remedy: str) -> None:
        raise InputError(problem, file=path, row=number, field=field, value=row[field], remedy=remedy)

    if not 2 <= len(choices) <= 10:
        refuse("choices", "is not two to ten choices", "Give the possible answers")
    if not all(plain) or len(set(plain)) < len(plain) or any("\n" in each for each in choices):
        refuse("choices", "holds a choice that is empty, repeated or of several lines", "Give each choice once")
    if len(abstaining) > 1:
        refuse("choices", "holds more than one choice that means «unknown»", "Keep one of them")
    if row["answer"] not in choices:
        refuse("answer", "is none of the choices", "Write the right choice word for word")
    return {
        "context_id": row["question_id"],
        "group_id": group_of(row["question_id"]),
        "context": row["context"],
        "question": row["question"],
        "choices": choices,
        "answer": choices.index(row["answer"]),
        "abstain": abstaining[0] if abstaining else None,
    }


def group_of(question_id: str) -> str:
    """The template a question was made from: answers to questions of one template are no independent evidence."""
    return "-".join(question_id.split("-")[:2])


def fill_question(template: str, question: Mapping) -> str:
    """The prompt for one question: choices as numbered lines from 1, every value taken as text."""
    lines = "\n".join(f"{i}. {choice}" for i, choice in enumerate(question["choices"], start=1))
    return fill(template, {**question, "choices": lines}, QNA_SLOTS)


def verify(answer: str, question: Mapping) -> Verdict:
    """What `answer` is worth: right 1, also where it rightly abstains; a needless abstention 0; wrong or unreadable -1.

    question: as `read_questions` gives it.
    """
    named = _read(answer, question)
    if named is None:
        kind = "unreadable"
    elif named == question["answer"]:
        kind = "correct"
    else:
        kind = "abstained" if named in (_UNKNOWN, question["abstain"]) else "wrong"
    return Verdict(REWARDS[kind], kind)


def _read(answer: str, question: Mapping) -> int | None:
    """The index of the one choice that `answer` names, _UNKNOWN for an abstention without a choice, else None."""
    try:
        statements = [_plain(each) for each in _objects(answer)] if "{" in answer else _said(answer, question)
        named = [_named(each, question) for each in statements]
    except (ValueError, RecursionError):  # also what is nested or counts beyond what Python reads
        return None
    one = set().union(*named)
    return one.pop() if all(named) and len(one) == 1 else None


def _objects(answer: str) -> list[str]:
    """The answers of the JSON objects in `answer`. Raises ValueError where it is not one text or number in each."""
    found, objects = [], _OBJECT.findall(answer)
    if len(objects) < answer.count("{"):
        raise ValueError("broken or nested")
    for text in objects:
        values = [
            v for key, v in json.loads(text, object_pairs_hook=list) if key.casefold() in ("answer", "정답", "답")
        ]
        if len(values) != 1 or type(values[0]) not in (str, int):
            raise ValueError("no answer")
        found.append(str(values[0]))
    return found


def _said(answer: str, question: Mapping) -> Iterator[str]:
    """The declared parts of `answer`, or all of it. Raises ValueError for a declaration that is taken back."""
    text = _plain(answer)
    for quoted in (question["context"], question["question"]):
        text = text.replace(_plain(quoted), " ") if quoted.strip() else text
    _, *declared = _DECLARES.split(text)
    if declared and _RETRACTS.search(text):
        raise ValueError("taken back")
    yield from (_SENTENCE.split(part.strip(), maxsplit=1)[0] for part in declared) if declared else [text]


def _named(statement: str, question: Mapping) -> set[int]:
    """Indices of the choices that `statement` names; empty where it denies something or names what does not exist."""
    choices, named, rest = [_plain(each) for each in question["choices"]], set(), statement
    for i in sorted(range(len(choices)), key=lambda i: -len(choices[i])):
        mention = re.compile(rf"(?<!\w){re.escape(choices[i])}{_ENDING}".replace(r"\ ", r"\s*"))
        if mention.search(rest):
            named.add(i)
            rest = rest if _LABEL.fullmatch(choices[i]) else mention.sub("□", rest)  # «3» may be a text and a label
    if _ABSTAINS.search(rest):
        named.add(_UNKNOWN if question["abstain"] is None else question["abstain"])
        rest = _ABSTAINS.sub("□", rest)
    labels = {int(each) - 1 if each.isdecimal() else ord(each) - ord("a") for each in _LABEL.findall(rest)}
    given, words = _plain(f"{question['context']} {question['question']}"), rest.split()
    denied = any(
        _DENIES.search(w) and f"{before} {w}" not in given for before, w in zip(["□", *words], words, strict=False)
    )
    return named | labels if not denied and labels <= set(range(len(choices))) else set()


def _plain(text: str) -> str:
    """`text` for comparison: composed, case folded, ② as 2, without quotation marks and emphasis."""
    return _QUOTES.sub("", unicodedata.normalize("NFKC", text)).casefold().strip()
