"""What a response must be before anything is spent on it: one verdict for each way in which a policy cheats or breaks."""

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from memozy.records import template_fault
from memozy.texts import clean, normalise

SHORTEST, LONGEST = 20, 600  # characters of a template
LOOP = 0.35  # share of four-character windows that came before; of the prompts that people wrote none has 0.2
COPIED = 15  # letters and digits in a row; prompts that know nothing of a text share 6 with it at most

SENTENCE_END = re.compile(r"(?<=[.!?。])[\s\"'”’]+(?=\S)")
_AT_ONCE_AGAIN = re.compile(r"(.{2,60}?)\1{2,}", re.DOTALL)
_SLOT = re.compile(r"\{\w*\}")


def prompt_fault(template: str, query: str, slots: Sequence[str], secrets: re.Pattern) -> str | None:
    """Why a template that was written as an answer to `query` is worth nothing, or None.

    Every one of `slots` stands in it once, it is one paragraph of 20 to 600 characters that says nothing twice; it does
    not give back what it was asked, and it names nothing that its slots are there for (`secrets_of`).
    """
    if fault := template_fault(template, slots):
        return fault
    if not SHORTEST <= len(template) <= LONGEST:
        return f"has {len(template)} characters, not {SHORTEST} to {LONGEST}"
    if not no_loop(template):
        return "repeats itself"
    if copied(template, [query]):
        return "copies what it was asked"
    if leak := secrets.search(clean(template)):
        return f"gives away «{leak[0]}»"
    return None


def diary_fault(diary: str) -> str | None:
    """Why a diary is not even read, or None. Beyond that, the reward model's own gate judges."""
    return None if re.search(r"\w", diary) else "has no words"


def secrets_of(values: Iterable[str | None]) -> re.Pattern:
    """Finds any of `values` (of two characters or more) where a word begins with it: Korean ones take particles.

    A template that holds an input's own value, a place or a possible answer, is made for that input and wrong for others.
    """
    known = sorted({v for v in (clean(v or "") for v in values) if len(v) > 1}, key=lambda v: (-len(v), v))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, known)) or r'(?!)'})(?![a-z])", re.IGNORECASE)


def no_loop(prompt: str) -> bool:
    """No stretch comes three times on end, no sentence twice, and few windows of four characters come again."""
    text = " ".join(prompt.split())
    windows = [text[i : i + 4] for i in range(len(text) - 3)]
    sentences = [normalise(s) for s in SENTENCE_END.split(text)]
    again = 1 - len(set(windows)) / len(windows) if windows else 0.0
    return not _AT_ONCE_AGAIN.search(text) and len(set(sentences)) == len(sentences) and again <= LOOP


def copied(prompt: str, originals: Sequence[str]) -> bool:
    """Whether `prompt` shares 15 letters and digits in a row with any of `originals`; slots, which it must keep, aside."""
    own = normalise(_SLOT.sub("", prompt))
    for original in originals:
        theirs = normalise(_SLOT.sub("", original))
        if SequenceMatcher(None, own, theirs, autojunk=False).find_longest_match().size >= COPIED:
            return True
    return False
