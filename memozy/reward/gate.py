"""What may be scored at all, and what may score high: limits learned from the rated texts.

A text far from all that people rated well is *shut* out: too short, too long, repeating itself, in foreign characters.
A text unlike them is *unfamiliar*: longer than they are, with odd characters or syllables, speaking to whoever ordered
or scores it, or with its words in disorder. It earns no more than the middle score, whatever a model makes of it: where
people never saw a text, or never liked one, no high score is to be found.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import compress, pairwise
from typing import Any

import numpy as np

HOME = 0.1  # of the rated texts: what kinds of characters so many have are at home
ORDERED = 2000  # rated texts, at most, that the order of words is learned from
SHUFFLES = 2  # of each of them
TERMS = 20_000  # about the order of words, at most; the commonest
FOLDS = 5

_APPEAL = re.compile(
    r"평점|별점|점수|만점|채점|평가|심사|\d점|rating|score|"  # to whoever scores
    r"프롬프트|지침|지시|prompt|instruct|드릴게요|드리겠습니다|드립니다|요청하신|사용자|인공지능",  # or ordered the text
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Gate:
    """shortest: in characters; below it a text is shut.

    limits: measure -> the most a text may have, else it is shut. `characters`; `repeated` and `said_twice` as below;
    `foreign_share`: of its characters, the share of kinds that are not at home in the rated texts.
    familiar: measure -> the most it may have, else it is unfamiliar. `characters`; `repeated`; `foreign`: the
    number of characters of such kinds; `unseen`: the share of its pairs of characters that rated texts don't have;
    `appeals` as below; `disorder`: about -1 for the rated texts and 1 for the same with their words shuffled.
    kinds: those at home. pairs: those that texts of two groups have. order: a fitted pipeline, `order_terms` to disorder.
    """

    shortest: float
    limits: dict[str, float]
    familiar: dict[str, float]
    kinds: list[str]
    pairs: list[str]
    order: Any

    @classmethod
    def around(cls, texts: Sequence[str], ratings: np.ndarray, groups: np.ndarray) -> Gate:
        """Around the cleaned `texts` that people rated at least the median; ratings and groups (n,).

        Each limit has a floor; above it, 98 to 99.5 % of those texts are within what is familiar and 99.9 % within what
        is not shut. What texts have in common is measured of each against the other groups, as of a new text. The order
        of words is no limit where it cannot be told from disorder, as in very short texts.
        """
        if len(np.unique(groups)) < 2:
            groups = np.arange(len(texts))  # one group only: each text stands for itself
        well = np.asarray(ratings) >= np.median(ratings)
        good = list(compress(texts, well))
        length = np.array([len(t) for t in good], float)
        kinds = sorted(k for k, n in Counter(k for t in texts for k in set(_kinds(t))).items() if n >= HOME * len(texts))
        pairs, unseen = _common_pairs(texts, groups)
        few = np.sort(np.random.default_rng(0).permutation(len(texts))[:ORDERED])
        disorder, order = _order([texts[i] for i in few], np.asarray(groups)[few])

        def most(values: Iterable[float], percent: float, floor: float) -> float:
            return float(max(floor, np.percentile(list(values), percent, method="higher")))

        familiar = {
            "characters": float(np.percentile(length, 99) * 1.25),
            "repeated": most(map(repeated, good), 99.5, 0.2),
            "foreign": most((sum(_strangers(t, kinds)) for t in good), 99.5, 3),
            "unseen": most(unseen[well], 99, 0.05),
            "appeals": most(map(appeals, good), 99.5, 0),
            "disorder": most(disorder[well[few]], 98, -0.25),
        }
        if familiar["disorder"] > 0:
            del familiar["disorder"]
        limits = {
            "characters": float(np.percentile(length, 99) * 2),
            "repeated": most(map(repeated, good), 99.9, 0.3),
            "said_twice": most(map(said_twice, good), 99.9, 12),
            "foreign_share": most((_share(_strangers(t, kinds)) for t in good), 99.9, 0.3),
        }
        return cls(float(np.percentile(length, 1) / 2), limits, familiar, kinds, pairs, order)

    def shut(self, texts: Sequence[str]) -> np.ndarray:
        """(n,) booleans: True where a cleaned text is far from all that people rated well."""
        return np.array([len(t) < self.shortest for t in texts], bool) | self._beyond(self.limits, texts)

    def unfamiliar(self, texts: Sequence[str]) -> np.ndarray:
        """(n,) booleans: True where a cleaned text is unlike all that people rated well."""
        return self._beyond(self.familiar, texts)

    def _beyond(self, limits: Mapping[str, float], texts: Sequence[str]) -> np.ndarray:
        return np.any([self.measure(name, texts) > most for name, most in limits.items()], axis=0)

    def measure(self, name: str, texts: Sequence[str]) -> np.ndarray:
        """What `limits` or `familiar` limit under this name, (n,)."""
        if name == "disorder":
            return self.order.predict(list(map(order_terms, texts))) if len(texts) else np.zeros(0)
        seen = frozenset(self.pairs)
        measures: dict[str, Callable[[str], float]] = {
            "characters": len,
            "repeated": repeated,
            "said_twice": said_twice,
            "foreign": lambda text: sum(_strangers(text, self.kinds)),
            "foreign_share": lambda text: _share(_strangers(text, self.kinds)),
            "unseen": lambda text: _share([p not in seen for p in _pairs(text)]),
            "appeals": appeals,
        }
        return np.array([measures[name](t) for t in texts], float)


def repeated(text: str) -> float:
    """The share of the four-character windows that came before, in [0, 1]: repeated("가나가나가나") = 1/3."""
    windows = _windows(text, 4)
    return 1 - len(set(windows)) / len(windows) if windows else 0.0


def said_twice(text: str) -> int:
    """Characters in the longest stretch that comes twice, which may overlap: said_twice("가나다 가나") = 2."""
    low, high = 0, max(len(text) - 1, 0)
    while low < high:  # what comes twice at one length does at every shorter one
        middle = (low + high + 1) // 2
        windows = _windows(text, middle)
        low, high = (middle, high) if len(set(windows)) < len(windows) else (low, middle - 1)
    return low


def appeals(text: str) -> int:
    """Words that speak to whoever scores the text or ordered it, and no diary's own."""
    return len(_APPEAL.findall(text))


@cache
def kind(character: str) -> str:
    """A letter's script and case, "DIGIT" for a digit; any other character is a kind of its own.

    kind("가") = "HANGUL SYLLABLE", kind("ㅋ") = "HANGUL LETTER", kind("a") = "LATIN SMALL", kind("!") = "!"
    """
    category = unicodedata.category(character)
    if category.startswith("L"):
        return " ".join(unicodedata.name(character, "UNNAMED").split()[:2])
    return "DIGIT" if category == "Nd" else character


def order_terms(text: str) -> str:
    """How words follow each other, as terms parted by spaces: what touches, and the endings of two and of three.

    Korean marks at a word's end what it does in the sentence, so that endings in a strange order betray shuffled words.
    """
    words = ["<", *text.split(), ">"]
    terms = [f"{a[-2:]}|{b[0]} {a[-1]}|{b[0]} {a[-1]}|{b[-1]}|" for a, b in pairwise(words)]
    return " ".join(terms + [f"{a[-1]}|{b[-1]}|{c[-1]}|" for a, b, c in zip(words, words[1:], words[2:], strict=False)])


def _windows(text: str, size: int) -> list[str]:
    return [text[i : i + size] for i in range(len(text) - size + 1)]


def _kinds(text: str) -> list[str]:
    return [kind(c) for c in text if c not in " \t\r\n"]


def _strangers(text: str, kinds: Sequence[str]) -> list[bool]:
    return [k not in kinds for k in _kinds(text)]


def _pairs(text: str) -> list[str]:
    return _windows(" ".join(text.split()), 2)


def _share(marks: Sequence[bool]) -> float:
    return sum(marks) / max(len(marks), 1)


def _common_pairs(texts: Sequence[str], groups: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The pairs of characters that texts of two groups have, and (n,) the share of each text's that no two others have."""
    owners = defaultdict(set)
    for text, group in zip(texts, groups, strict=True):
        for pair in _pairs(text):
            owners[pair].add(group)
    unseen = np.array([_share([len(owners[p]) < 3 for p in _pairs(t)]) for t in texts])  # its own group and two others
    return sorted(p for p, of in owners.items() if len(of) > 1), unseen


def _order(texts: Sequence[str], groups: np.ndarray) -> tuple[np.ndarray, Any]:
    """`disorder` (n,) of the texts by models fitted on other groups, and a pipeline fitted on all.

    They tell the texts, -1, from the same with their words shuffled, 1: nobody has to rate nonsense for that.
    """
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline

    rng, words = random.Random(0), [t.split() for t in texts]
    mixed = [" ".join(rng.sample(w, len(w))) for _ in range(SHUFFLES) for w in words]
    said = list(map(order_terms, [*texts, *mixed]))
    shuffled = np.repeat([-1.0, 1.0], [len(texts), len(mixed)])
    terms = CountVectorizer(token_pattern=r"\S+", lowercase=False, max_features=TERMS)
    x = terms.fit_transform(said)
    terms.vocabulary_ = {t: int(i) for t, i in terms.vocabulary_.items()}  # skops gives each NumPy integer a file

    def learn(rows: np.ndarray, columns: np.ndarray) -> Any:
        model = make_pipeline(TfidfTransformer(sublinear_tf=True), Ridge(alpha=0.3, solver="lsqr"))
        return model.fit(x[rows][:, columns], shuffled[rows])

    disorder = np.zeros(len(texts))
    folds = GroupKFold(min(FOLDS, len(np.unique(groups))))
    for fitted, held in folds.split(said, groups=np.tile(groups, 1 + SHUFFLES)):
        held = held[held < len(texts)]
        seen = np.flatnonzero(x[fitted].getnnz(axis=0))  # of a new text, too, terms never seen are left out
        disorder[held] = learn(fitted, seen).predict(x[held][:, seen])
    return disorder, make_pipeline(terms, *learn(np.arange(len(said)), np.arange(x.shape[1])))
