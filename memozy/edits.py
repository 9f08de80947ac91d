"""What became of a draft: how much of it stayed, and what was added to it without correcting it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from memozy.texts import clean

ORDER = 2  # characters of the longest n-grams compared
KEPT, REWRITTEN = 0.9, 0.5  # a similarity: from here on the text was kept; below here it was written anew
AKIN = 0.5  # two sentences that share more than this part of the shorter one's words are one and what became of it
MOST_SENTENCES = 1000  # in a longer text nothing is told to be an addition

_ENDS = ".!?。！？…\n"
_SENTENCE = re.compile(rf"[^{_ENDS}]+[{_ENDS}]*|[{_ENDS}]+")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Edit:
    """similarity: `chrf` of the draft and of the final text without its additions, in [0, 1]. added: the additions'
    share of the final text's characters, white space aside, in [0, 1]."""

    similarity: float
    added: float

    @property
    def corrected(self) -> float:
        """The share of the draft that was corrected, in [0, 1]."""
        return 1 - self.similarity


def compare(draft: str, final: str) -> Edit:
    """What a user made of a draft. One text in two encodings (NFC, NFD) is one text, and white space is no part of it.

    An addition is no correction: what stands before or after a draft that is otherwise whole, and new sentences where
    none of the draft's was lost. A new sentence where one was lost stands in its stead, and corrects it.
    """
    before, after = clean(draft), clean(final)
    rest = _without_additions(before, after)
    size = _length(after)
    return Edit(chrf(before, rest), max(0.0, 1 - _length(rest) / size) if size else 0.0)


def edit_value(draft: str, final: str) -> float:
    """What an edit says of the draft by the plain rule, uncalibrated: 1 where at least 90 % of it stayed, -0.5 where
    less than 50 % did, else 0."""
    alike = compare(draft, final).similarity
    return 1.0 if alike >= KEPT else -0.5 if alike < REWRITTEN else 0.0


def chrf(a: str, b: str) -> float:
    """chrF (Popović 2015) with β = 1, in [0, 1]: the harmonic mean of precision and recall of character n-grams, each a
    mean over n = 1 … ORDER. White space is left out, and so are n that either text is too short for."""
    a, b = "".join(a.split()), "".join(b.split())
    orders = min(ORDER, len(a), len(b))
    if not orders:
        return float(a == b)
    precision = recall = 0.0
    for n in range(1, orders + 1):
        grams, others = (Counter(zip(*(text[i:] for i in range(n)), strict=False)) for text in (a, b))
        shared = sum(min(count, others[gram]) for gram, count in grams.items() if gram in others)
        precision += shared / (len(a) - n + 1) / orders
        recall += shared / (len(b) - n + 1) / orders
    return 2 * precision * recall / (precision + recall) if precision else 0.0


def _length(text: str) -> int:
    return len("".join(text.split()))


def _without_additions(draft: str, final: str) -> str:
    core = draft.rstrip(_ENDS + " ")
    if core and core in final:
        return draft
    sentences = _SENTENCE.findall(final)
    words, was = ([set(_WORD.findall(s.casefold())) for s in _SENTENCE.findall(text)] for text in (final, draft))
    if max(len(words), len(was)) > MOST_SENTENCES:
        return final
    lost = [not any(_akin(old, new) for new in words) for old in was]
    rest, fresh, last = [], [], -1  # fresh: new sentences since one that came of the draft's sentence `last`
    for sentence, said in [*zip(sentences, words, strict=True), ("", None)]:
        origins = [len(was)] if said is None else [i for i, old in enumerate(was) if _akin(old, said)]
        if not origins:
            fresh.append(sentence)
            continue
        at = origins[0] if said is None else max(origins, key=lambda i: len(was[i] & said))
        # where a sentence was lost in between, the new ones stand in its stead
        rest += [*(fresh if any(lost[last + 1 : at]) else ()), sentence]
        fresh, last = [], at
    return "".join(rest)


def _akin(old: set[str], new: set[str]) -> bool:
    return old == new or len(old & new) > AKIN * min(len(old), len(new))
