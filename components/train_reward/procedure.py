"""How a reward model is made and judged: one recipe, run as a whole inside every fold.

In each fold of a repeated, grouped cross-validation the training part alone decides everything: an inner
cross-validation of it says what the members are worth out of fold, from which come the weights of the
combinations, the calibration of every candidate and even the choice between them (`SELECTED`). So no figure
of the leaderboard has seen the rows it is measured on, the choice included.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import ModuleType

import numpy as np

from components.train_reward.candidates import Preferences, Training, combines, load
from components.train_reward.config import CANDIDATES, Config
from components.train_reward.metrics import clustered_se
from memozy.records import InputError
from memozy.reward.calibration import Calibration
from memozy.reward.features import Features, Reading, View
from memozy.reward.gate import Gate
from memozy.reward.model import Prediction, RewardModel, combine_votes

Members = dict[str, tuple[ModuleType, str]]  # name -> its file, and what it learns from besides the rows: "" or one of WAYS
INNER = 4  # folds of the inner cross-validation
COPIES = "_copies"  # the name's ending where rows count as often as the oversampling stage says
SURROGATES = "_surrogates"  # and where texts are learnt from that nobody rated, by what users made of them
WAYS = (COPIES, SURROGATES)
COUNTED = "ensemble"  # the candidate that is fitted in these ways too: what they are worth is measured, never assumed
SELECTED = "selected"  # what the recipe itself chose, in every fold anew
RULE = (
    "the first candidate, in order of preference, whose mean squared error exceeds the lowest by at most one standard "
    "error of that excess (paired by row, clustered by group)"
)


@dataclass(frozen=True)
class Rows:
    """n training rows: features of their cleaned texts and, (n,) each, ratings, copies and groups."""

    features: Features
    ratings: np.ndarray
    copies: np.ndarray
    groups: np.ndarray
    preferences: tuple[Features, Features, np.ndarray] | None = None  # chosen, rejected, their groups
    surrogates: tuple[Features, np.ndarray, np.ndarray] | None = None  # texts, what reactions make of them, their groups

    def take(self, rows: np.ndarray) -> Rows:
        """Some rows; of preferences and surrogates those whose group is not one of the rows left out."""
        kept = self.groups[rows]
        left_out = np.setdiff1d(self.groups, kept)

        def beside(part: tuple | None) -> tuple | None:
            free = np.flatnonzero(~np.isin(part[-1], left_out)) if part else ()
            return tuple(column.take(free) for column in part) if len(free) else None

        return Rows(self.features.take(rows), self.ratings[rows], self.copies[rows], kept, beside(self.preferences),
                    beside(self.surrogates))  # fmt: skip

    def with_surrogates(self) -> Rows:
        """The surrogates as rows among the others, each counted once."""
        features, ratings, groups = self.surrogates
        return Rows(self.features.followed_by(features), np.concatenate([self.ratings, ratings]),
                    np.ones(len(self.ratings) + len(ratings), int), np.concatenate([self.groups, groups]),
                    self.preferences)  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """A way to a score: members by name, and their weights from what they say out of fold."""

    name: str
    members: tuple[str, ...]
    weigh: Callable[[tuple[str, ...], np.ndarray, np.ndarray], np.ndarray]

    @property
    def plain(self) -> tuple[str, ...]:
        """The members' names as their files are called."""
        return tuple(plain(name) for name in self.members)


def plain(member: str) -> str:
    """A member's name as its file is called."""
    return next((member.removesuffix(way) for way in WAYS if member.endswith(way)), member)


@dataclass(frozen=True)
class Plan:
    """Candidates, the preferred first, and the members that any of them needs."""

    candidates: tuple[Candidate, ...]
    members: Members


def plan(config: Config, copies: np.ndarray, surrogates: bool = False) -> Plan:
    """What competes under these settings, in the order of `CANDIDATES`; names that it does not have come last.

    copies: how often the rows count; surrogates: whether there are any.

    Raises InputError for an unknown name, without the constant, or where there is nothing to combine.
    """
    known = {name: place for place, name in enumerate(CANDIDATES)}
    files = load(sorted(config.candidates, key=lambda name: known.get(name, len(known))))
    if "constant" not in files:
        raise InputError("leaves out 'constant', which all else is measured against", field="reward.candidates",
                         value=list(files), remedy="Name it too")  # fmt: skip
    fixed = [file.MEMBERS for file in files.values() if combines(file) and file.MEMBERS is not None]
    single = tuple(dict.fromkeys([*(m for members in fixed for m in members), *(n for n, f in files.items() if not combines(f))]))
    candidates = []
    for name, file in files.items():
        names = (name,) if not combines(file) else single if file.MEMBERS is None else file.MEMBERS
        if not names and file.MEMBERS is None:
            raise InputError("has nothing to combine", field="reward.candidates", value=name,
                             remedy="Name candidates that are fitted, such as 'kernel' and 'trees'")  # fmt: skip
        weigh = file.weigh if combines(file) else _alone
        candidates.append(Candidate(name, names, weigh))
        for way, there in ((COPIES, np.any(copies != 1)), (SURROGATES, surrogates)):
            if name == COUNTED and there:
                candidates.append(Candidate(name + way, tuple(m + way for m in names), weigh))
    needed = dict.fromkeys(member for c in candidates for member in c.members)
    modules = load([plain(m) for m in needed])
    return Plan(tuple(candidates), {m: (modules[plain(m)], m.removeprefix(plain(m))) for m in needed})


def _alone(names: tuple[str, ...], said: np.ndarray, ratings: np.ndarray) -> np.ndarray:
    return np.ones(1)


def folds(groups: np.ndarray, k: int, repeats: int, seed: int) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """(repeat, fold, training rows, held-out rows): in every repeat each row is held out once, with its whole group."""
    from sklearn.model_selection import GroupKFold

    for repeat in range(repeats):
        splitter = GroupKFold(k, shuffle=True, random_state=seed + repeat)
        for fold, (train, held_out) in enumerate(splitter.split(groups, groups=groups)):
            yield repeat, fold, train, held_out


def read(rows: Rows, members: Members) -> Reading:
    return Reading.fit(rows.features, sorted({block for file, _ in members.values() for block in file.READS}))


def fit_members(rows: Rows, view: View, members: Members, config: Config, work: Path) -> dict:
    """Every member fitted on `rows`, which `view` reads: name -> Member or SequenceMember."""
    preferences, wider = None, None
    if rows.preferences is not None:
        chosen, rejected, _ = rows.preferences
        preferences = Preferences(view.reading.view(chosen), view.reading.view(rejected))
    once = replace(rows, copies=np.ones(len(rows.ratings)))
    fitted = {}
    for name, (file, way) in members.items():
        taught, seen = rows if way == COPIES else once, view
        if way == SURROGATES and rows.surrogates is not None:
            taught = rows.with_surrogates()
            seen = wider = wider or view.reading.view(taught.features)
        fitted[name] = file.fit(Training(seen, taught.ratings, taught.copies, taught.groups, preferences, config, work / name))
    return fitted


@dataclass(frozen=True)
class Said:
    """What was said out of fold: of each candidate (repeats, n) fields by name, of the members (repeats, k, n)."""

    candidates: dict[str, Prediction]
    members: dict[str, np.ndarray]

    def first(self, name: str) -> Prediction:
        """What a candidate said in the first repeat, (n,) fields."""
        return Prediction(*(getattr(self.candidates[name], f.name)[0] for f in fields(Prediction)))


def cross_validate(rows: Rows, the_plan: Plan, config: Config, work: Path, advance: Callable[[], None]) -> Said:
    """Every candidate on rows it was not fitted on, and `SELECTED`. Folds that `work` holds are not run again."""
    from joblib import Parallel, delayed

    _compute(rows, the_plan)
    jobs = list(folds(rows.groups, config.folds, config.repeats, config.seed))
    names = [c.name for c in the_plan.candidates] + [SELECTED]
    said = np.zeros((config.repeats, len(names), len(fields(Prediction)), len(rows.ratings)))
    members = np.zeros((config.repeats, len(the_plan.members), len(rows.ratings)))
    parallel = Parallel(n_jobs=workers(the_plan), return_as="generator")
    calls = (delayed(_kept)(work / f"fold-{r}-{k}.npz", _fold, rows, train, held, the_plan, config) for r, k, train, held in jobs)
    for (repeat, _, _, held), (candidates, of_members) in zip(jobs, parallel(calls), strict=True):
        said[repeat][:, :, held], members[repeat][:, held] = candidates, of_members
        advance()
    return Said(
        {name: _prediction(said[:, i].transpose(1, 0, 2)) for i, name in enumerate(names)},
        {name: members[:, i] for i, name in enumerate(the_plan.members)},
    )


def _prediction(values: np.ndarray) -> Prediction:
    return Prediction(*values[:5], shut=values[5] > 0, unfamiliar=values[6] > 0)


def _compute(rows: Rows, the_plan: Plan) -> None:
    """Compute the blocks that will be read once, here, and not in every worker."""
    for block in {block for file, _ in the_plan.members.values() for block in file.READS} - {"grams", "grade"}:
        for features in (rows.features, *(rows.preferences or ())[:2], *(rows.surrogates or ())[:1]):
            getattr(features, block)
    _ = rows.features.surface


def workers(the_plan: Plan) -> int:
    """Processes to use: as many as there are cores, and one where a sequence model takes them all itself."""
    import joblib

    return 1 if _takes_all_cores(the_plan.members) else joblib.cpu_count()


def _takes_all_cores(members: Members) -> bool:
    return any(not file.READS for file, _ in members.values())


def one_thread(members: Members) -> AbstractContextManager:
    """While open, sums are made in the same order on any number of cores; sequence models are left their threads."""
    from threadpoolctl import threadpool_limits

    return nullcontext() if _takes_all_cores(members) else threadpool_limits(1)


def _kept(file: Path, run: Callable, *arguments) -> tuple[np.ndarray, np.ndarray]:
    """What `run` returns, from `file` where an earlier attempt left it there whole."""
    if file.is_file():
        with np.load(file) as kept:
            return kept["candidates"], kept["members"]
    candidates, members = run(*arguments, file.with_suffix(""))
    scratch = file.with_suffix(".tmp.npz")
    np.savez(scratch, candidates=candidates, members=members)
    os.replace(scratch, file)
    return candidates, members


def _fold(rows: Rows, train: np.ndarray, held: np.ndarray, the_plan: Plan, config: Config, work: Path):
    """The whole recipe on `train`, asked about `held`: (candidates + selected, fields, held) and (members, held)."""
    part, asked = rows.take(train), rows.features.take(held)
    with one_thread(the_plan.members):
        return _whole_recipe(part, asked, the_plan, config, work)


def _whole_recipe(part: Rows, asked: Features, the_plan: Plan, config: Config, work: Path):
    inner = np.zeros((len(the_plan.members), len(part.ratings)))
    for _, k, fitted, left_out in folds(part.groups, min(INNER, len(np.unique(part.groups))), 1, config.seed):
        inner[:, left_out] = vote(part.take(fitted), part.features.take(left_out), the_plan, config, work / str(k))
    votes = vote(part, asked, the_plan, config, work)
    gate = Gate.around(part.features.texts, part.ratings, part.groups)
    shut, unfamiliar = gate.shut(asked.texts), gate.unfamiliar(asked.texts)
    position = {name: i for i, name in enumerate(the_plan.members)}
    said, losses = [], {}
    for candidate in the_plan.candidates:
        which = [position[m] for m in candidate.members]
        mean = part.ratings.mean()
        weights = candidate.weigh(candidate.plain, inner[which], part.ratings)
        scores = weights @ inner[which] if which else np.full(len(part.ratings), mean)
        losses[candidate.name] = (np.clip(scores, -1, 1) - part.ratings) ** 2
        calibration = Calibration.fit(scores, part.ratings, config.coverage)
        if which:
            said.append(combine_votes(votes[which], weights, shut, unfamiliar, calibration))
        else:
            said.append(combine_votes(np.full((1, len(asked.texts)), mean), np.ones(1), shut & False, shut & False, calibration))
    names = [c.name for c in the_plan.candidates]
    said.append(said[names.index(choose(losses, part.groups))])
    return np.array([[getattr(s, f.name) for f in fields(Prediction)] for s in said], float), votes


def vote(rows: Rows, asked: Features, the_plan: Plan, config: Config, work: Path) -> np.ndarray:
    """What every member fitted on `rows` says of `asked`, (k, m)."""
    reading = read(rows, the_plan.members)
    view, seen = reading.view(rows.features), reading.view(asked)
    members = fit_members(rows, view, the_plan.members, config, work)
    return np.array([m.predict(seen) for m in members.values()]).reshape(len(members), len(asked.texts))


def choose(losses: dict[str, np.ndarray], groups: np.ndarray) -> str:
    """The champion by RULE. losses: squared errors (n,) of each candidate, the preferred first."""
    best = min(losses, key=lambda name: losses[name].mean())
    return next(n for n in losses if (d := losses[n] - losses[best]).mean() <= clustered_se(d, groups))


def finish(rows: Rows, candidate: Candidate, the_plan: Plan, said: Said, config: Config, work: Path, judge=None) -> RewardModel:
    """The candidate fitted on all rows; weights and calibration come from what its members said out of fold."""
    needed = {name: the_plan.members[name] for name in candidate.members}
    with one_thread(needed):
        reading = read(rows, needed)
        view = reading.view(rows.features)
        members = fit_members(rows, view, needed, config, work)
        gate = Gate.around(rows.features.texts, rows.ratings, rows.groups)
    out_of_fold = np.array([said.members[m] for m in candidate.members])  # (k, repeats, n)
    once = [candidate.weigh(candidate.plain, out_of_fold[:, r], rows.ratings) for r in range(config.repeats if len(needed) else 0)]
    weights = np.mean(once, axis=0) if once else np.zeros(0)
    ratings = np.tile(rows.ratings, config.repeats)
    scores = np.tensordot(weights, out_of_fold, 1).ravel() if once else np.full(len(ratings), rows.ratings.mean())
    asks = any("grade" in member.reads for member in members.values())
    return RewardModel(
        reading, members, dict(zip(candidate.members, weights.tolist(), strict=True)), gate,
        Calibration.fit(scores, ratings, config.coverage, config.repeats), float(rows.ratings.mean()), config.encoder,
        judge if asks else None,
    )  # fmt: skip
