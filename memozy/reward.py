"""The reward model: a text in, a score in [-1, 1] and its uncertainty out. Trained by `components/train_reward`.

A model is a set of members that read the same text in different ways; the score is their mean. Every
member is clipped before the mean and every feature saturates, so that no single oddity can buy a high
score, and a text unlike anything that was rated is not scored at all but gets the floor.
The file is written and read by skops: no pickle, and no type beyond `TRUSTED` is ever loaded.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import unicodedata
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from memozy.records import InputError

FLOOR = -1.0  # "not a diary" on the raters' scale
SATURATION = 3.0  # features stop counting at this many standard deviations
SURFACE_WEIGHT = 0.3  # of a standardised surface feature beside a text's unit-length n-gram vector
TRUSTED = ["scipy.sparse._csr.csr_matrix"]  # all that a model file may hold beyond what skops itself trusts

_WORD = re.compile(r"\w+")
_HANGUL = re.compile(r"[가-힣]")
_SENTENCE_END = re.compile(r"[.!?~…\n]+")
_NOT_HANGUL_AT_END = re.compile(r"[^가-힣]+$")
_MARK_RUN = re.compile(r"[!?~.,…]{2,}")
_LATIN = re.compile(r"[A-Za-z]")
_DIGIT = re.compile(r"\d")
_LONE_LETTER = re.compile(r"[ㄱ-ㅎㅏ-ㅣ]")
_SYMBOL = re.compile(r"[^\w\s.,!?~…'\"()]")
_LISTED = re.compile(r"[-•*#]|\d+[.)]|\w+\s*:")
_AND = re.compile(r"\w고\b")
_LINKED = re.compile(r"\w(?:서|며|면서|지만|는데)\b")
_POLITE = ("니다", "요", "죠")


def clean(text: str) -> str:
    """The form in which a text is read everywhere: composed (NFC), without surrounding white space."""
    return unicodedata.normalize("NFC", text).strip()


def _surface(text: str) -> dict[str, float]:
    words = _WORD.findall(text)
    stems = [w[:2] for w in words]  # Korean inflects at the end: two syllables tell most words apart
    sentences = [s for s in _SENTENCE_END.split(text) if _WORD.search(s)]
    lines = [line for line in map(str.strip, text.split("\n")) if line]
    endings = [_NOT_HANGUL_AT_END.sub("", s) for s in sentences]
    polite = sum(e.endswith(_POLITE) for e in endings)
    plain = sum(e.endswith("다") and not e.endswith(_POLITE) for e in endings)
    past = sum(e.endswith("다") and _closed_by_double_siot(e[-2:-1]) for e in endings)
    grams = [text[i : i + 4] for i in range(len(text) - 3)]
    pairs = list(pairwise(stems))
    letters = sum(map(len, words))  # marks and spaces make no text longer
    n, n_words, n_sentences = max(len(text), 1), max(len(words), 1), max(len(sentences), 1)
    return {
        "characters": float(len(text)),
        "log_letters": math.log1p(letters),
        "letters_up_to_50": min(letters, 50.0),
        "letters_beyond_70": max(letters - 70.0, 0.0),
        "log_words": math.log1p(len(words)),
        "distinct_words": float(len(set(words))),
        "distinct_stems": float(len(set(stems))),
        "distinct_word_share": len(set(words)) / n_words,
        "distinct_stem_share": len(set(stems)) / n_words,
        "repeated_gram_share": _repeated(grams),
        "repeated_pair_share": _repeated(pairs),
        "letters_a_word": letters / n_words,
        "sentences": float(len(sentences)),
        "log_letters_a_sentence": math.log1p(letters / n_sentences),
        "shortest_sentence": float(min(map(len, sentences), default=0)),
        "sentence_length_spread": float(np.std([len(s) for s in sentences])) * n_sentences / n if sentences else 0.0,
        "exclamation_marks": float(text.count("!")),
        "question_marks": float(text.count("?")),
        "tildes": float(text.count("~")),
        "full_stops": float(text.count(".")),
        "commas": float(text.count(",")),
        "colons": float(text.count(":")),
        "log_mark_runs": math.log1p(len(_MARK_RUN.findall(text))),
        "symbols": float(len(_SYMBOL.findall(text))),
        "lone_letters": float(len(_LONE_LETTER.findall(text))),
        "digits": float(len(_DIGIT.findall(text))),
        "latin_share": len(_LATIN.findall(text)) / n,
        "hangul_share": len(_HANGUL.findall(text)) / max(len("".join(text.split())), 1),
        "plain_share": plain / n_sentences,
        "polite_share": polite / n_sentences,
        "past_share": past / n_sentences,
        "mixed_speech": float(plain > 0 and polite > 0),
        "lines": float(len(lines)),
        "listed_lines": float(sum(bool(_LISTED.match(line)) for line in lines)),
        "first_line_share": len(lines[0]) / n if lines else 0.0,
        "ands_a_sentence": len(_AND.findall(text)) / n_sentences,
        "links_a_sentence": len(_LINKED.findall(text)) / n_sentences,
    }


def _repeated(items: Sequence) -> float:
    return 1 - len(set(items)) / len(items) if items else 0.0


def _closed_by_double_siot(syllable: str) -> bool:
    """Whether a syllable ends in ㅆ, as the past tense does before 다: 갔, 먹었 (Unicode §3.12)."""
    return bool(_HANGUL.match(syllable)) and (ord(syllable) - 0xAC00) % 28 == 20


SURFACE = tuple(_surface(""))


def surface_features(texts: Sequence[str]) -> np.ndarray:
    """Plain statistics of cleaned texts: (n, len(SURFACE)) floats, finite, columns named by SURFACE."""
    return np.array([list(_surface(t).values()) for t in texts], float).reshape(-1, len(SURFACE))


def _column(surface: np.ndarray, name: str) -> np.ndarray:
    return surface[:, SURFACE.index(name)]


@dataclass(frozen=True)
class Gate:
    """What counts as a text one can score: lengths in characters, shares in [0, 1]."""

    shortest: float
    longest: float
    least_hangul: float = 0.5  # of the characters that are not white space
    most_repeated: float = 0.3  # of the four-character windows

    @classmethod
    def around(cls, surface: np.ndarray) -> Gate:
        """Wide around the texts with these surface features: from half as short to twice as long, outliers aside."""
        low, high = np.percentile(_column(surface, "characters"), (1, 99))
        return cls(shortest=float(low / 2), longest=float(high * 2))

    def shut(self, surface: np.ndarray) -> np.ndarray:
        """(n,) booleans: True where a text is too short, too long, hardly Korean or mostly repetition."""
        length = _column(surface, "characters")
        return (
            (length < self.shortest)
            | (length > self.longest)
            | (_column(surface, "hangul_share") < self.least_hangul)
            | (_column(surface, "repeated_gram_share") > self.most_repeated)
        )


@dataclass(frozen=True)
class Reading:
    """How texts become numbers: a fitted TfidfVectorizer over characters and a fitted StandardScaler."""

    characters: Any
    scaler: Any

    def blocks(self, texts: Sequence[str], surface: np.ndarray) -> dict[str, Any]:
        """What a member may read: "surface" (n, len(SURFACE)) and "all", the same beside the n-grams, sparse."""
        from scipy import sparse

        scaled = np.clip(self.scaler.transform(surface), -SATURATION, SATURATION)
        grams = self.characters.transform(texts)
        return {"surface": scaled, "all": sparse.hstack([SURFACE_WEIGHT * scaled, grams], format="csr")}


@dataclass(frozen=True)
class Member:
    """A fitted regressor and the block of features it reads."""

    reads: str
    regressor: Any


@dataclass(frozen=True)
class RewardModel:
    """Members and what surrounds them. Without members it knows only `mean`, the mean rating.

    residual_sd: the root mean squared out-of-fold error, in units of the rating.
    model_hash: SHA-256 of the file it was loaded from; empty before it is saved.
    """

    reading: Reading
    members: dict[str, Member]
    gate: Gate
    mean: float
    residual_sd: float
    model_hash: str = ""

    def score(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Scores in [-1, 1] and uncertainties >= 0, both (n,), in the texts' order; equal texts are read once.

        The uncertainty is the standard deviation over members (one member: `residual_sd`). A text that
        the gate shuts out scores FLOOR, for certain.
        """
        cleaned = [clean(t) for t in texts]
        distinct = {t: i for i, t in enumerate(dict.fromkeys(cleaned))}
        if not self.members or not distinct:
            return np.full(len(texts), self.mean), np.full(len(texts), self.residual_sd)
        says, shut = self.member_scores(list(distinct))
        votes = np.stack(list(says.values()))
        spread = votes.std(axis=0) if len(votes) > 1 else np.full(len(distinct), self.residual_sd)
        place = np.array([distinct[t] for t in cleaned])
        return np.where(shut, FLOOR, votes.mean(axis=0))[place], np.where(shut, 0.0, spread)[place]

    def member_scores(self, texts: Sequence[str]) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """What each member says of cleaned texts, in [-1, 1], (n,) each; and where the gate is shut, (n,)."""
        surface = surface_features(texts)
        blocks = self.reading.blocks(texts, surface)
        says = {n: np.clip(m.regressor.predict(blocks[m.reads]), -1.0, 1.0) for n, m in self.members.items()}
        return says, self.gate.shut(surface)

    def save(self, folder: str | Path) -> str:
        """Write `model.skops` into `folder`; return its SHA-256, the model's hash. Equal models give equal bytes."""
        import skops.io

        Path(folder).mkdir(parents=True, exist_ok=True)
        content = {
            "surface": list(SURFACE),
            "characters": self.reading.characters,
            "scaler": self.reading.scaler,
            "members": {name: {"reads": m.reads, "regressor": m.regressor} for name, m in self.members.items()},
            "gate": asdict(self.gate),
            "mean": self.mean,
            "residual_sd": self.residual_sd,
        }
        _write_numbered(skops.io.dumps(content), _file(folder))
        return _sha256(_file(folder))

    @classmethod
    def load(cls, folder: str | Path) -> RewardModel:
        """Read what `save` wrote.

        Raises InputError where the file is missing, damaged, holds a type that is not trusted, or was
        trained on other features than this code computes.
        """
        import skops.io
        from skops.io.exceptions import UntrustedTypesFoundException

        file = _file(folder)
        if not file.is_file():
            raise InputError("no such file", file=file, remedy="Train a reward model first")
        try:
            content = skops.io.load(file, trusted=TRUSTED)
        except UntrustedTypesFoundException as error:
            raise InputError(f"is not a reward model of ours: {error}", file=file,
                             remedy="Load only models that train_reward wrote") from None  # fmt: skip
        except zipfile.BadZipFile:
            raise InputError("is damaged", file=file, remedy="Train it again or fetch it anew") from None
        if not isinstance(content, dict) or content.get("surface") != list(SURFACE):
            raise InputError("was trained on other features", file=file, remedy="Train it again with this version")
        return cls(
            reading=Reading(content["characters"], content["scaler"]),
            members={name: Member(**member) for name, member in content["members"].items()},
            gate=Gate(**content["gate"]),
            mean=content["mean"],
            residual_sd=content["residual_sd"],
            model_hash=_sha256(file),
        )


def _file(folder: str | Path) -> Path:
    return Path(folder) / "model.skops"


def _write_numbered(archive: bytes, file: Path) -> None:
    """Write a skops archive compressed, without what differs between equal models.

    skops names parts by memory address and stamps them with the time; here they are numbered, undated.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        schema = old.read("schema.json").decode()
        address = re.compile(r'(?<="__id__": )\d+|(?<="file": ")\d+(?=\.np)')
        numbers = {a: str(i) for i, a in enumerate(dict.fromkeys(address.findall(schema)))}
        parts = {numbers[n.split(".")[0]] + Path(n).suffix: old.read(n) for n in old.namelist() if n != "schema.json"}
        parts["schema.json"] = address.sub(lambda match: numbers[match[0]], schema).encode()
        for name in sorted(parts):
            new.writestr(zipfile.ZipInfo(name), parts[name], zipfile.ZIP_DEFLATED)


def _sha256(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
