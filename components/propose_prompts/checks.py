"""What a prompt must be before anything is paid for it: one check for each way in which writers fail."""

import re
import string
from dataclasses import dataclass

from memozy.environments.hygiene import LONGEST, SENTENCE_END, SHORTEST, copied, no_loop
from memozy.records import SLOTS, template_fault

_SLOT = re.compile(r"\{\w*\}")
_LETTER, _HANGUL = re.compile(r"[^\W\d_]"), re.compile(r"[가-힣]")
_REQUEST = re.compile(r"일기|기록|글을|작성|[써쓰쓴쓸적]")
_MARKUP = re.compile(
    r"```|\*\*|</?[a-z|]|\[/?INST|^\s*(?:#+\s|[-*•]\s|\d+[.)]\s)"
    r"|^\s*(?:system|user|assistant|시스템|사용자|모델|답변?|(?:새(?:로운)?\s)?프롬프트)\s*[:：]",
    re.IGNORECASE | re.MULTILINE,
)
_TO_THE_ASKER = re.compile(
    r"^(?:물론|네[,.!]|알겠|sure|here)|^(?:다음은|아래는|여기|새로운?)\b.{0,30}프롬프트|프롬프트입니다|도움이 되|원하시면", re.IGNORECASE
)  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """What a writer has seen and must not give back: its task in words, and the example diaries."""

    task: str = ""
    diaries: tuple[str, ...] = ()


def slots_kept(prompt: str) -> bool:
    """Every context field stands in it once as a plain slot, and nothing invented does: "{place}", not "{place:장소}"."""
    try:
        fields = [tuple(field) for _, *field in string.Formatter().parse(prompt) if field[0] is not None]
    except ValueError:
        return False
    return len(fields) == len(SLOTS) and set(fields) == {(slot, "", None) for slot in SLOTS}


def one_paragraph(prompt: str) -> bool:
    """One line of text."""
    return len(prompt.strip().splitlines()) == 1


def one_sentence(prompt: str) -> bool:
    """Nothing follows the first full stop, question or exclamation mark that ends a sentence; "3.5" ends none."""
    return bool(prompt.strip()) and len(SENTENCE_END.split(prompt.strip())) == 1


def system_message(prompt: str) -> bool:
    """It can be given to a model as it stands: a Korean request for a text, of 20 to 600 characters, without markup,
    role names or marks of chat templates, and with no word to the person who asked for the prompt."""
    letters = _LETTER.findall(_SLOT.sub("", prompt))
    korean = sum(bool(_HANGUL.match(letter)) for letter in letters) > len(letters) / 2
    fits = SHORTEST <= len(prompt) <= LONGEST and korean and _REQUEST.search(prompt) is not None
    return fits and not _MARKUP.search(prompt) and not _TO_THE_ASKER.search(prompt)


def passed(prompt: str, shown: Shown = Shown()) -> dict[str, bool]:
    """Every check by its name, and whether `prompt` passes."""
    return {
        "slots kept": slots_kept(prompt),
        "one paragraph": one_paragraph(prompt),
        "one sentence": one_sentence(prompt),
        "system message": system_message(prompt),
        "no loop": no_loop(prompt),
        "no copy of the task": not copied(prompt, [shown.task]),
        "no copy of a diary": not copied(prompt, shown.diaries),
    }


CHECKS = tuple(passed(""))
REQUIRED = tuple(name for name in CHECKS if name != "one sentence")  # asked for and reported; policies learnt otherwise


def usable(prompt: str, shown: Shown = Shown()) -> bool:
    """Whether `prompt` has no fault of a template and passes every required check."""
    found = passed(prompt, shown)
    return template_fault(prompt) is None and all(found[name] for name in REQUIRED)
