"""What is told about a reward model: the card that a reviewer, the registry and the pages read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from components.train_reward import explain, learning, metrics, procedure
from components.train_reward.config import Config
from components.train_reward.procedure import COPIES, COUNTED, SELECTED, SURROGATES, Candidate, Plan, Rows, Said
from memozy.records import nearest_level
from memozy.reward import RewardModel
from memozy.reward.calibration import LEVELS
from memozy.reward.features import View
from memozy.reward.model import Prediction
from memozy.reward.surface import CRITERIA, SURFACE

SHUFFLES = 3
BLOCK_NAMES = {"grams": "character n-grams", "embedding": "sentence embedding", "stems": "word stems",
               "morphemes": "morphemes", "korean": "grammar (Kiwi)", "grade": "LLM judge"}  # fmt: skip


def card(model: RewardModel, rows: Rows, train: pl.DataFrame, test: pl.DataFrame, tested: Prediction, said: Said,
         champion: Candidate, the_plan: Plan, config: Config, work: Path) -> dict:  # fmt: skip
    """Everything there is to tell of the champion `model`, by name: what a reviewer, the registry and the pages read.

    train, test: the OVERSAMPLED rows that it was fitted on and tested with; tested: what it says of the test rows.
    """
    own, constant = said.candidates[champion.name], said.candidates["constant"].score
    score, tested_ratings, tested_groups = own.score.mean(axis=0), test["rating"].to_numpy(), test["group_id"].to_numpy()
    settings = {"n": config.bootstrap, "seed": config.seed}
    cv = {
        name: quality(p, rows.ratings, train["prompt_id"].to_list(), constant, rows.groups, config)
        for name, p in (("train_cv", own), ("recipe_cv", said.candidates[SELECTED]))
    }
    of_test = quality(tested, tested_ratings, test["prompt_id"].to_list(), model.mean, tested_groups, config)
    found = {
        "simulated": bool(train["simulated"].any()),
        "champion": champion.name,
        "weights": model.weights,
        "encoder": model.encoder,
        "rule": procedure.RULE,
        "candidates": leaderboard(said, rows, champion.name, config),
        "metrics": {**cv, "test": of_test},
        "data": {
            "train_rows": len(train), "test_rows": len(test), "folds": config.folds, "repeats": config.repeats,
            "train_groups": train["group_id"].n_unique(), "test_groups": test["group_id"].n_unique(),
            "levels": {"train": counts(rows.ratings), "train, with copies": counts(rows.ratings, rows.copies),
                       "test": counts(tested_ratings)},
        },
        "copies": did_it_help(COPIES, round(float(rows.copies.sum())), said, rows, config),
        "surrogates": did_it_help(SURROGATES, len(rows.surrogates[1]) if rows.surrogates else 0, said, rows, config),
        "guards": guards(model, said.first(champion.name)),
        "intervals": intervals(model, cv["train_cv"], of_test),
        "residual_sd": model.calibration.residual_sd,
        "ceiling": explain.human_ceiling(rows.ratings, train["rating_variance"].to_numpy(), train["n_raters"].to_numpy(),
                                         **settings),
        "residuals": explain.residuals_by_level(score, rows.ratings),
        "rubric": explain.rubric_view(rows.features.surface, SURFACE, score, rows.ratings, rows.groups, **settings),
        "contributions": contributions(rows, the_plan, config, work),
        "importance": importance(rows, champion, the_plan, config, model.weights, work),
        "length_bias": explain.length_bias(test["text"].to_list(), lambda texts: model.score(texts)[0], tested_ratings,
                                           tested.score, tested_groups, **settings),
        "learning": learning.curve(rows, champion, the_plan, config, work / "curve"),
    }  # fmt: skip
    return {**found, "weaknesses": weaknesses(found)}


def quality(said: Prediction, ratings: np.ndarray, arms: Sequence, constant: np.ndarray | float, groups: np.ndarray,
            config: Config) -> dict:  # fmt: skip
    """Every measure of one candidate with its interval, and how often the stated interval held the rating.

    said: fields (R, n) or (n,). -> {measure: number, …, "coverage", "n", "intervals": {name: [low, high]}, "gain"}: by
    how much the squared error lies below the constant's, with its interval.
    """
    settings = {"n": config.bootstrap, "seed": config.seed}
    intervals = metrics.with_intervals(said.score, said.median, ratings, arms, constant, groups, **settings)
    inside = np.atleast_2d((said.low <= ratings) & (ratings <= said.high)).mean(axis=0)
    intervals["coverage"] = metrics.mean_interval(inside, groups, **settings)
    gain = metrics.paired((constant - ratings) ** 2, (said.score - ratings) ** 2, groups, **settings)
    return {**{name: i.value for name, i in intervals.items()}, "n": len(ratings),
            "intervals": {name: [i.low, i.high] for name, i in intervals.items()}, "gain": list(gain)}  # fmt: skip


def leaderboard(said: Said, rows: Rows, champion: str, config: Config) -> list[dict]:
    """One row per candidate, best first: its measures, and how much worse than the champion it is, with an interval."""
    constant, losses = said.candidates["constant"].score, {}
    for name, p in said.candidates.items():
        losses[name] = ((p.score - rows.ratings) ** 2).mean(axis=0)
    table = []
    for name, p in said.candidates.items():
        found = metrics.measure(p.score, p.median, rows.ratings, None, constant)
        behind = metrics.paired(losses[name], losses[champion], rows.groups, config.bootstrap, config.seed)
        interval = metrics.mean_interval(losses[name], rows.groups, config.bootstrap, config.seed)
        table.append({"name": name, **{m: found[m] for m in ("mse", "mae", "r2", "spearman", "kappa")},
                      "interval": [interval.low, interval.high], "behind": list(behind), "champion": name == champion})  # fmt: skip
    return sorted(table, key=lambda row: row["mse"])


def did_it_help(way: str, n: int, said: Said, rows: Rows, config: Config) -> dict | None:
    """The squared error on rated rows of COUNTED fitted in a `way` of `procedure.WAYS`, less that without.

    n: the rows it counts, or has more. None where it did not compete so: no row has copies, or there are no surrogates.
    """
    if COUNTED + way not in said.candidates:
        return None
    in_this_way, once = (((said.candidates[n].score - rows.ratings) ** 2) for n in (COUNTED + way, COUNTED))
    change = metrics.paired(in_this_way, once, rows.groups, config.bootstrap, config.seed)
    verdict = "hurt" if change.low > 0 else "helped" if change.high < 0 else "made no difference that these rows can show"
    return {"candidate": COUNTED, "rows": n, "change": list(change), "verdict": verdict}


def guards(model: RewardModel, said: Prediction) -> dict:
    """The gate's limits and how many real training texts it shuts out, or caps, when it was made without them."""
    gate = model.gate
    return {"shortest": gate.shortest, "limits": gate.limits, "familiar": gate.familiar, "cap": model.calibration.cap,
            "shut": float(said.shut.mean()), "unfamiliar": float(said.unfamiliar.mean())}  # fmt: skip


def intervals(model: RewardModel, train: dict, test: dict) -> dict:
    """What the model states about its intervals and how often they held the rating."""
    return {"stated": model.calibration.coverage, "reach": model.calibration.reach,
            "out_of_fold": train["coverage"], "out_of_fold_interval": train["intervals"].get("coverage"),
            "test": test["coverage"]}  # fmt: skip


def counts(ratings: np.ndarray, copies: np.ndarray | None = None) -> list[int]:
    """Rows per rating level, lowest first; a mean rating counts for the level nearest."""
    nearest = np.array([nearest_level(r) for r in ratings])
    times = np.ones(len(ratings)) if copies is None else copies
    return [int(times[nearest == level].sum()) for level in LEVELS]


def contributions(rows: Rows, the_plan: Plan, config: Config, work) -> dict:
    """What the linear candidate made of the named columns: rating units per standard deviation, strongest first."""
    name = "ngrams"
    if name not in the_plan.members:
        return {}
    needed = {name: the_plan.members[name]}
    with procedure.one_thread(needed):
        view = procedure.read(rows, needed).view(rows.features)
        member = procedure.fit_members(rows, view, needed, config, work)[name]
    coefficients = np.ravel(member.regressor.coef_)[: len(SURFACE)] * member.reads["surface"]
    return {"candidate": name, "columns": explain.linear_contributions(coefficients, SURFACE, 8)}


def importance(rows: Rows, champion: Candidate, the_plan: Plan, config: Config, weights: Mapping[str, float], work) -> list[dict]:
    """By how much the champion's squared error rises when one part of what it reads is shuffled among rows.

    Parts: the surface's columns by criterion of the rubric, and every other block. By models that never saw the row.
    """
    needed = {m: the_plan.members[m] for m in champion.members}
    blocks = {b for file, _ in needed.values() for b in file.READS}
    if not blocks:
        return []
    fitted = []
    for _, k, train, held in procedure.folds(rows.groups, config.folds, 1, config.seed):
        part = rows.take(train)
        reading = procedure.read(part, needed)
        view = reading.view(part.features)
        with procedure.one_thread(needed):
            members = procedure.fit_members(part, view, needed, config, work / f"explained-{k}")
        fitted.append((held, members, reading.view(rows.features)))

    parts: dict[str, np.ndarray] = {}
    if "surface" in blocks:
        parts = {f"rubric: {name}": np.arange(len(rows.ratings)) for name in CRITERIA}
    parts |= {BLOCK_NAMES[b]: np.arange(len(rows.ratings)) for b in sorted(blocks - {"surface"})}

    def predict(order: Mapping[str, np.ndarray]) -> np.ndarray:
        scores = np.zeros(len(rows.ratings))
        for held, members, view in fitted:
            mixed = _Shuffled(view, order, held)
            scores[held] = sum(weights[name] * member.predict(mixed) for name, member in members.items())
        return scores

    found = explain.permutation_importance(predict, parts, rows.ratings, rows.groups, SHUFFLES, config.bootstrap, config.seed)
    return [{"part": name, "rise": list(interval)} for name, interval in found]


class _Shuffled(View):
    """Some rows of a view in which parts are taken from other rows: part -> (n,) row to take it from."""

    def __init__(self, view: View, order: Mapping[str, np.ndarray], held: np.ndarray) -> None:
        super().__init__(view.reading, view.features.take(held))
        self._whole, self._order, self._held = view, order, held

    def _make(self, name: str):
        block = self._whole.block(name)
        if name != "surface":
            return block[self._order[BLOCK_NAMES[name]][self._held]]
        mixed = block[self._held].copy()
        for criterion, columns in CRITERIA.items():
            which = [SURFACE.index(c) for c in columns]
            mixed[:, which] = block[self._order[f"rubric: {criterion}"][self._held]][:, which]
        return mixed


def weaknesses(card: Mapping) -> list[str]:
    """What a reviewer should know before trusting the model, each with its figure; computed, never written by hand."""
    found = []
    test, cv = card["metrics"]["test"], card["metrics"]["train_cv"]
    if test["gain"] and test["gain"][1] <= 0:
        found.append(f"On the {test['n']} test diaries it is not shown to beat a constant (gain {test['gain'][0]:.3f}).")
    if not 0.75 <= cv["calibration_slope"] <= 1.33:
        found.append(f"Its scores are {'too bold' if cv['calibration_slope'] < 1 else 'too timid'}: ratings change "
                     f"{cv['calibration_slope']:.2f} for a change of 1 in score.")  # fmt: skip
    ends = {row["level"]: row for row in card["residuals"]}
    middle = np.average([r["mean_score"] for r in ends.values()], weights=[r["n"] for r in ends.values()])
    for level, wrong in ((-1.0, 1), (1.0, -1)):
        if level in ends and wrong * (ends[level]["mean_score"] - middle) >= 0:
            found.append(f"It does not tell the {ends[level]['n']} diaries rated {level:g} from the others: they score "
                         f"{ends[level]['mean_score']:.2f} on average, all diaries {middle:.2f}.")  # fmt: skip
    if any(p["change"][1] > 0 for p in card["length_bias"]["padding"].values()):
        found.append(card["length_bias"]["verdict"])
    low = (card["intervals"]["out_of_fold_interval"] or [0, 1])[1]
    if low < card["intervals"]["stated"]:
        found.append(f"Its {card['intervals']['stated']:.0%} intervals held {card['intervals']['out_of_fold']:.1%} of the ratings.")
    return found


def plain(value):
    """Numbers, texts, lists and dicts only, as JSON takes them; what is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(v) for v in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
