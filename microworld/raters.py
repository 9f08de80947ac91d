"""Simulated raters: people with a rubric, a bias and a bad day, who see a text and its context only.

The rubric is the stated one (richness, naturalness, fitting length; -1 = not a diary or far too
short). They never see a prompt, its id or which arm wrote the text, and take no phrase from the writer:
they count words, letters and marks, and know feelings, senses, vagueness and an assistant's talk by
common stems, as a reader of the language would.
"""

import random
import re
from dataclasses import dataclass

LEVELS = (-1.0, -0.5, 0.0, 0.5, 1.0)

_NOT_A_DIARY = re.compile(r"드릴게요|드립니다|요청하신|작성해|^\s*네,")
_STRUCTURE = re.compile(r"(?m)^\s*(제목|[-•*#]|\d+[.)])")
_BRIGHT = re.compile(r"기뻤|기쁘|설렜|설레|편안|뿌듯|행복|즐거|신나")
_DARK = re.compile(r"그리[웠운]|아쉬|피곤|외로|슬펐|슬프|쓸쓸|지쳤")
_BRIGHT_MOODS = frozenset({"기쁨", "설렘", "편안함", "뿌듯함"})
_FEELING = re.compile(r"기뻤|설렜|편안했|뿌듯했|그리웠|아쉬웠|피곤했|외로웠")
_SENSE = re.compile(r"소리|냄새|향[이기을 ]|맛이|햇살|공기|빛이|부드러|달콤|차가")
_VAGUE = re.compile(r"그냥|이것저것|여기저기|맛있는 것")


def quality(text: str, context: dict) -> float:
    """The rubric as a continuous score in about [-1.2, 1.2], before rounding to a level.

    Not a diary (an assistant talking) or under 20 characters is -1. Else -0.95 plus
    richness  up to 1.10: distinct words beyond the first four, senses, minus vague phrases;
    length    up to 0.60: full between 55 and 150 characters, falling off on both sides;
    minus     naturalness faults: structure, politeness, shouting, chained or repeated clauses, a
              feeling that contradicts the day.
    """
    body = text.strip()
    if len(body) < 20 or _NOT_A_DIARY.search(body):
        return -1.0
    words = re.findall(r"[가-힣]+", body)
    distinct = len({w[:3] for w in words})
    richness = min(0.85, max(0.0, (distinct - 4) * 0.05)) + 0.25 * bool(_SENSE.search(body))
    richness -= 0.12 * len(_VAGUE.findall(body))
    n = len(body)
    length = 0.60 * max(0.0, min(1.0, (n - 20) / 35, (260 - n) / 110))
    faults = 0.60 * bool(_STRUCTURE.search(body)) + 0.40 * ("습니다" in body)
    faults += min(0.50, 0.15 * max(0, body.count("!") - 1))
    faults += 0.15 * max(0, max(len(re.findall(r"고 ", s)) for s in re.split(r"[.!\n]", body)) - 2)
    faults += 0.30 * (len(words) - len(set(words)) > 3)
    bright = context["mood"] in _BRIGHT_MOODS
    if (_DARK if bright else _BRIGHT).search(body):
        faults += 0.40
    elif len(set(_FEELING.findall(body))) > 1:
        faults += 0.15
    if context["place"] not in body:
        faults += 0.15
    return -0.95 + richness + length - faults


def to_level(q: float) -> float:
    """The nearest of the five levels: to_level(0.3) = 0.5, to_level(-2) = -1."""
    return min(LEVELS, key=lambda level: (abs(level - q), level))


def true_rating(text: str, context: dict) -> float:
    """What a rater without bias or noise would say: the micro-world's truth about one diary."""
    return to_level(quality(text, context))


@dataclass(frozen=True)
class Rater:
    """bias and noise (standard deviation) in units of the scale; careless: chance of a random level."""

    rater_id: str
    bias: float
    noise: float
    careless: float

    def rate(self, text: str, context: dict, seed: str) -> float:
        """This rater's level for `text`; the same `seed` gives the same answer, whatever was rated before."""
        rng = random.Random(f"{seed}|{self.rater_id}")
        if rng.random() < self.careless:
            return rng.choice(LEVELS)
        return to_level(quality(text, context) + self.bias + rng.gauss(0.0, self.noise))


PANEL = (
    Rater("sim-haneul", bias=+0.10, noise=0.25, careless=0.00),
    Rater("sim-bora", bias=-0.12, noise=0.30, careless=0.00),
    Rater("sim-jun", bias=+0.00, noise=0.35, careless=0.02),
    Rater("sim-seoyeon", bias=-0.05, noise=0.25, careless=0.00),
    Rater("sim-minho", bias=+0.15, noise=0.45, careless=0.06),
)
