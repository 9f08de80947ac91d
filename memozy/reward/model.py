"""The reward model: texts in; scores in [-1, 1], their uncertainty and the likely ratings out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memozy.records import RATING_LEVELS, InputError
from memozy.reward.cache import ScoreCache
from memozy.reward.calibration import Calibration
from memozy.reward.features import Features, Reading
from memozy.reward.gate import Gate
from memozy.reward.judge import Judge
from memozy.reward.members import Member, OrdinalMember, SequenceMember
from memozy.reward.surface import SURFACE
from memozy.texts import clean

if TYPE_CHECKING:
    from memozy.policies import Policy

FLOOR = -1.0  # "not a diary" on the raters' scale
TRUSTED = ["scipy.sparse._csr.csr_matrix"]  # all that a model file may hold beyond what skops itself trusts


@dataclass(frozen=True)
class Prediction:
    """What is said of n texts, each field (n,).

    score: in [-1, 1]. spread: how far the members are apart, their weighted standard deviation >= 0; with one
    member the standard deviation of its error. median: the likeliest middle of the ratings, one of the levels.
    low, high: where a new rating lies with the stated coverage. shut: the gate refused the text, which scores FLOOR
    for certain. unfamiliar: unlike all that people rated well, and scored above the cap, to which its score was cut.
    """

    score: np.ndarray
    spread: np.ndarray
    median: np.ndarray
    low: np.ndarray
    high: np.ndarray
    shut: np.ndarray
    unfamiliar: np.ndarray


def combine_votes(votes: np.ndarray, weights: np.ndarray, shut: np.ndarray, unfamiliar: np.ndarray,
                  calibration: Calibration) -> Prediction:  # fmt: skip
    """What a model says whose members' votes are (k, n), in [-1, 1], and weigh (k,), summing to 1."""
    score = np.clip(weights @ votes, -1.0, 1.0)
    spread = np.sqrt(np.maximum(weights @ (votes - score) ** 2, 0.0))
    if np.count_nonzero(weights) < 2:
        spread = np.full(len(score), calibration.residual_sd)
    unfamiliar = unfamiliar & (score > calibration.cap) & ~shut
    score = np.where(unfamiliar, calibration.cap, score)
    score = np.where(shut, FLOOR, score)
    low, high = calibration.interval(score)
    closed = {"score": score, "spread": np.where(shut, 0.0, spread),
              "median": np.where(shut, FLOOR, calibration.median(score)), "low": np.where(shut, FLOOR, low),
              "high": np.where(shut, FLOOR, high)}  # fmt: skip
    return Prediction(**closed, shut=shut, unfamiliar=unfamiliar)


@dataclass(frozen=True)
class RewardModel:
    """Members, how much each weighs, and what surrounds them. Without members it knows only `mean`, the mean rating.

    encoder: the sentence encoder whose vectors members read. judge: the LLM whose grades members read.
    model_hash: SHA-256 over the files it was loaded from; empty before it is saved.
    """

    reading: Reading
    members: dict[str, Member | OrdinalMember | SequenceMember]
    weights: dict[str, float]
    gate: Gate
    calibration: Calibration
    mean: float
    encoder: str
    judge: Judge | None = None
    model_hash: str = ""
    cache: ScoreCache = field(default_factory=ScoreCache, compare=False, repr=False)

    @property
    def reads(self) -> set[str]:
        """The blocks of features that any member reads."""
        return {block for member in self.members.values() for block in member.reads}

    def score(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Scores in [-1, 1] and uncertainties >= 0 (`Prediction.spread`), both (n,), in the texts' order."""
        said = self.predict(texts)
        return said.score, said.spread

    def predict(self, texts: Sequence[str]) -> Prediction:
        """Everything that is said of `texts`, in their order; equal texts, and texts seen before, are read once.

        Raises InputError where an LLM judge is part of the model and cannot be asked.
        """
        cleaned = [clean(t) for t in texts]
        distinct = {t: i for i, t in enumerate(dict.fromkeys(cleaned))}
        rows = np.zeros((len(distinct), len(fields(Prediction))))
        known = self.cache.read(self.model_hash, list(distinct)) if self.model_hash else {}
        for i, row in known.items():
            rows[i] = row
        fresh = {t: i for t, i in distinct.items() if i not in known}
        if fresh:
            said = self._predict(list(fresh))
            rows[list(fresh.values())] = np.column_stack([getattr(said, f.name) for f in fields(said)])
            if self.model_hash:
                self.cache.write(self.model_hash, list(fresh), rows[list(fresh.values())])
        taken = rows[[distinct[t] for t in cleaned]] if cleaned else rows
        return Prediction(*(taken[:, i] for i in range(5)), shut=taken[:, 5] > 0, unfamiliar=taken[:, 6] > 0)

    def _predict(self, texts: list[str]) -> Prediction:
        """`predict` of distinct, cleaned texts."""
        shut, unfamiliar = self.gate.shut(texts), self.gate.unfamiliar(texts)
        view = self.reading.view(Features(texts, self.encoder, self._grades(texts, shut)))
        votes = [member.predict(view) for member in self.members.values()]
        if not votes:
            flat = np.full((1, len(texts)), self.mean)
            return combine_votes(flat, np.ones(1), shut & False, unfamiliar & False, self.calibration)
        weights = np.array([self.weights[name] for name in self.members])
        return combine_votes(np.stack(votes), weights, shut, unfamiliar, self.calibration)

    def _grades(self, texts: list[str], shut: np.ndarray) -> np.ndarray | None:
        """The judge's grades, where a member reads them. It is not asked about a shut text, which scores FLOOR anyway;
        a text whose grade cannot be read has the lowest, so that to sabotage the judge never pays."""
        if self.judge is None or "grade" not in self.reads:
            return None
        grades = np.full(len(texts), min(RATING_LEVELS), float)
        said = self.judge.grade([texts[i] for i in np.flatnonzero(~shut)]).values
        grades[~shut] = np.nan_to_num(said, nan=min(RATING_LEVELS))
        return grades

    def save(self, folder: str | Path) -> str:
        """Write `model.skops`, and a folder for each sequence model; return the model's hash. Equal models give equal bytes."""
        from memozy.reward import archive

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, member in self.members.items():
            if isinstance(member, SequenceMember):
                member.scorer.save(folder / "members" / name)
        archive.write(folder / "model.skops", {
            "surface": list(SURFACE),
            "reading": vars(self.reading),
            "members": {name: _stored(m) for name, m in self.members.items()},
            "weights": self.weights,
            "gate": vars(self.gate),
            "calibration": asdict(self.calibration),
            "mean": self.mean,
            "encoder": self.encoder,
            "encoder_identity": self._encoder_identity(),
            "judge": json.dumps(self.judge.as_dict()) if self.judge else None,
        })  # fmt: skip
        return _hash(folder)

    @classmethod
    def load(cls, folder: str | Path, cache: ScoreCache | None = None, backbone: Policy | None = None) -> RewardModel:
        """Read what `save` wrote. cache: where scores are kept, if longer than this object lives. backbone: a policy in
        memory, whose base weights a sequence model on the same base shares (`SequenceScorer.load`).

        Raises InputError where a file is missing, damaged, written by another version, holds a type that is not trusted,
        or was trained on other features than this code computes.
        """
        from memozy.reward import archive

        folder = Path(folder)
        file = folder / "model.skops"
        content = archive.read(file, TRUSTED)
        if not isinstance(content, dict) or content.get("surface") != list(SURFACE):
            raise InputError("was trained on other features", file=file, remedy="Train it again with this version")
        try:
            calibration, known = content["calibration"], content["encoder_identity"]
            model = cls(
                reading=Reading(**content["reading"]),
                members={
                    name: _restored(m, folder / "members" / name, backbone) for name, m in content["members"].items()
                },
                weights=content["weights"],
                gate=Gate(**content["gate"]),
                calibration=Calibration(**{**calibration, "offsets": tuple(calibration["offsets"])}),
                mean=content["mean"],
                encoder=content["encoder"],
                judge=Judge.from_dict(json.loads(content["judge"])) if content["judge"] else None,
                model_hash=_hash(folder),
                cache=cache or ScoreCache(),
            )
        except (OSError, json.JSONDecodeError) as error:
            raise InputError(f"is damaged ({error})", file=folder, remedy="Train it again or fetch it anew") from None
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"was written by another version ({error!r})", file=folder,
                             remedy="Train it again with this version") from None  # fmt: skip
        if (present := model._encoder_identity()) != known:
            raise InputError(f"was trained with encoder {known}, and {present} is here", file=file, field="encoder",
                             value=model.encoder, remedy="Bring that one back, or train again")  # fmt: skip
        return model

    def _encoder_identity(self) -> str | None:
        """Which encoder exactly its members read, if they read any."""
        from memozy.reward.encoders import identity

        return identity(self.encoder) if "embedding" in self.reads else None


def _stored(member: Member | OrdinalMember | SequenceMember) -> dict:
    return {} if isinstance(member, SequenceMember) else vars(member)  # a sequence model has files of its own


def _restored(stored: dict, folder: Path, backbone: Policy | None) -> Member | OrdinalMember | SequenceMember:
    if "regressor" in stored:
        return Member(**stored)
    if "coefficients" in stored:
        return OrdinalMember(**stored)
    from memozy.reward.sequence import SequenceScorer

    return SequenceMember(SequenceScorer.load(folder, backbone))


def _hash(folder: Path) -> str:
    """SHA-256 over what the model is: its file's bytes and those of its sequence models, with their names."""
    total = hashlib.sha256()
    for path in [folder / "model.skops", *sorted(p for p in folder.glob("members/**/*") if p.is_file())]:
        total.update(f"{path.relative_to(folder)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()
