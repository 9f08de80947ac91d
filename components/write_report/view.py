"""What the page says, worked out from the artifacts: one plain value for every place in the template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import polars as pl

from components.write_report.summary import (
    VERDICTS,
    agreement,
    assurance,
    candidates,
    effort,
    in_front,
    what_is_simulated,
)
from memozy.records import RATING_LEVELS, InputError, nearest_level
from memozy.reports import MISSING, money, number, percent, without_secrets


@dataclass(frozen=True)
class Evidence:
    """A run's artifacts, as read: frames by their schema, the rest as the JSON they are."""

    oversampled: pl.DataFrame  # OVERSAMPLED
    predictions: pl.DataFrame  # diary_id, split, rating, predicted
    card: Mapping  # the reward model's
    curves: Sequence[Mapping]  # one per PPO update, maybe none
    samples: Sequence[Mapping]  # {step, response, score, kl} of rollouts, maybe none
    arms: pl.DataFrame  # ARMS, the incumbent first
    pulls: pl.DataFrame  # PULLS
    decision: Mapping
    truth: Mapping  # empty where nothing is simulated
    version: Mapping
    registered: Mapping


def build(evidence: Evidence, diaries_per_arm: int, updates_sampled: int) -> dict:
    """The template's values. Raises InputError where the decision names a prompt that is not among the arms."""
    e = evidence
    arms = arm_rows(e)
    by_id = {arm["prompt_id"]: arm for arm in arms}
    for role in ("prompt_id", "incumbent"):
        if e.decision[role] not in by_id:
            raise InputError("is not among the arms", file="decision", field=role, value=e.decision[role],
                             remedy=f"Known prompts: {', '.join(by_id)}")  # fmt: skip
    return {
        "decision": e.decision,
        "verdict": VERDICTS[e.decision["decision"]],
        "assurance": assurance(e.decision),
        "truth": e.truth,
        "agreement": agreement(e.decision, e.truth),
        "simulated": what_is_simulated(e.decision, e.version),
        "raters": "by simulated raters" if e.decision["simulated"] else "by people",
        "version": e.version,
        "arms": arms,
        "letters": {arm["prompt_id"]: arm["letter"] for arm in arms},
        "chosen": by_id[in_front(e.decision)],
        "incumbent": by_id[e.decision["incumbent"]],
        "tiles": tiles(e, arms),
        "levels": level_counts(e.oversampled),
        "card": e.card,
        "examples": [examples(e.pulls, arm, diaries_per_arm) for arm in arms],
        "updates": updates(e.samples, updates_sampled),
        "n_curves": len(e.curves),
        "n_updates": len({row["step"] for row in e.samples}),
        "looks": e.decision.get("looks") or [],
        "stored": stored(e),
    }


def arm_rows(e: Evidence) -> list[dict]:
    """One dict per arm in the arms' order: its letter and text, what was estimated, what is true, what it cost."""
    estimated = {arm["prompt_id"]: arm for arm in e.decision["arms"]}
    true = {arm["prompt_id"]: arm for arm in e.truth.get("arms", [])}
    cost = dict(e.pulls.group_by("prompt_id").agg(pl.col("cost_usd").sum()).iter_rows())
    rows = []
    for position, arm in enumerate(e.arms.iter_rows(named=True)):
        known = estimated.get(arm["prompt_id"], {})
        rows.append(
            arm
            | {key: known.get(key) for key in ("estimate", "low", "high", "score_mean", "n_pulls", "n_ratings")}
            | {
                "letter": chr(ord("A") + position) if position < 26 else f"#{position + 1}",
                "true_mean": true.get(arm["prompt_id"], {}).get("true_mean"),
                "true_se": true.get(arm["prompt_id"], {}).get("se"),
                "cost_usd": cost.get(arm["prompt_id"], 0.0),
                "chosen": arm["prompt_id"] == in_front(e.decision),
                "incumbent": arm["prompt_id"] == e.decision["incumbent"],
            }
        )
    return rows


def tiles(e: Evidence, arms: Sequence[Mapping]) -> list[dict]:
    """The few numbers to see first, each with what it is to be held against and where it comes from."""
    _, _, needed = effort(e.decision).partition(", ")
    enough = "how many more is not known" if e.decision["decision"] == "undecided" else "enough to decide"
    return [
        _tile("Ratings used", number(e.decision["ratings_used"]), needed or enough, "decision: ratings_used"),
        _best_tile(arms),
        _reward_tile(e.card["metrics"].get("test") or {}),
        _ppo_tile(e.curves),
        _cost_tile(e.decision),
    ]


def _best_tile(arms: Sequence[Mapping]) -> dict:
    known = [arm for arm in arms if _known(arm["estimate"])]
    if not known:
        return _tile("Highest estimate", MISSING, "no arm has an estimate yet", "decision: arms")
    best = max(known, key=lambda arm: arm["estimate"])
    incumbent = next(arm for arm in arms if arm["incumbent"])
    against = "it is the incumbent" if best is incumbent else f"incumbent {_estimate(incumbent)}"
    detail = f"{_estimate(best).partition(' ')[2]}; {against}"
    return _tile(f"Highest estimate: {best['letter']}", number(best["estimate"]), detail, "decision: arms")


def _reward_tile(test: Mapping) -> dict:
    mse, constant = test.get("mse"), test.get("constant_mse")
    detail = f"a constant guess has {number(constant, 3)}"
    if _known(mse) and _known(constant) and constant > 0:
        detail += f": {percent(abs(1 - mse / constant))} {'less' if mse <= constant else 'more'}"
    return _tile("Reward model, test MSE", number(mse, 3), detail, "reward/card: metrics")


def _ppo_tile(curves: Sequence[Mapping]) -> dict:
    if not curves:
        return _tile("PPO score", MISSING, "no PPO update was recorded", "curves")
    kept = next((row for row in curves if row.get("kept")), curves[-1])
    first, last = (number(row.get("objective/score")) for row in (curves[0], kept))
    said = f"from the start to the policy kept, after {kept.get('step', 0):g} updates, KL {number(kept.get('objective/kl'))}"
    return _tile("PPO score", f"{first} → {last}", said, "curves")


def _cost_tile(decision: Mapping) -> dict:
    ledger = decision.get("ledger")
    if not ledger:
        return _tile("Evaluation cost", money(decision["cost_usd"]), "recorded with the decision", "decision: cost_usd")
    spent = ledger["settled_usd"] + ledger["lost_usd"]
    said = f"{number(ledger['calls'])} calls of all stages up to the decision"
    said += f"; {money(ledger['lost_usd'])} of it lost" if ledger["lost_usd"] else ""
    return _tile("Cost of the run", money(spent), said, "decision: ledger")


def _tile(name: str, value: str, detail: str, source: str) -> dict:
    return {"name": name, "value": value, "detail": detail, "source": source}


def _known(value: float | None) -> bool:
    return value is not None and isfinite(value)


def _estimate(arm: Mapping) -> str:
    return f"{number(arm['estimate'])} [{number(arm['low'])}, {number(arm['high'])}]"


def level_counts(oversampled: pl.DataFrame) -> dict[str, list[int]]:
    """Diaries per rating level, in the levels' order: train "before" and "after" oversampling, and "test".

    A mean of several raters counts for the level nearest to it.
    """
    nearest = pl.col("rating").map_elements(nearest_level, return_dtype=pl.Float64)
    counts = {}
    for name, split, number_of in (
        ("before", "train", pl.len()),
        ("after", "train", pl.col("copies").sum().round().cast(pl.Int64)),
        ("test", "test", pl.len()),
    ):
        counted = dict(oversampled.filter(split=split).group_by(nearest).agg(number_of).iter_rows())
        counts[name] = [counted.get(level, 0) for level in RATING_LEVELS]
    return counts


def examples(pulls: pl.DataFrame, arm: Mapping, count: int) -> dict:
    """An arm's `count` best and `count` worst diaries, by their mean rating where any was rated, else by score.

    Ties go by score, then by context; where there are few diaries none stands on both sides.
    """
    mine = pulls.filter(prompt_id=arm["prompt_id"])
    written, rated = mine.filter(pl.col("rater_id").is_null()), mine.filter(pl.col("rater_id").is_not_null())
    by_rating = rated.height > 0
    given = rated.group_by("context_id").agg(rating=pl.col("human_rating").mean())
    ranked = written.join(given, "context_id", how="inner" if by_rating else "left")
    order = ["rating", "score", "context_id"] if by_rating else ["score", "context_id"]
    down = [True] * (len(order) - 1) + [False]
    ranked = ranked.sort(order, descending=down, nulls_last=True).to_dicts()
    best = ranked[: min(count, (len(ranked) + 1) // 2)]
    worst = ranked[len(best) :][-count:][::-1]
    return {"arm": arm, "best": best, "worst": worst, "by_rating": by_rating, "n": len(ranked)}


def updates(samples: Sequence[Mapping], count: int) -> list[dict]:
    """Prompts the policy wrote, for at most `count` updates spread evenly from the first to the last."""
    steps = sorted({row["step"] for row in samples})
    if len(steps) > count:
        steps = [steps[round(i * (len(steps) - 1) / (count - 1))] for i in range(count)]
    return [{"step": step, "prompts": [row for row in samples if row["step"] == step]} for step in steps]


def stored(e: Evidence) -> list[tuple[str, str, str]]:
    """(what, where or which, source) of everything a reader may want to look up."""
    uri = e.registered.get("tracking_uri")
    rows = [("Tracking server", without_secrets(uri) if uri else "", "registered: tracking_uri")]
    rows += [(f"Candidate {name}", f"version {n}", "registered") for name, n in candidates(e.registered).items()]
    skipped = e.registered.get("skipped", {})
    rows += [(f"Not registered: {name}", reason, "registered: skipped") for name, reason in skipped.items()]
    rows += [("Ratings data set (DVC)", e.version["version"], "version: version")]
    rows += [("Reward model, SHA-256", e.card["model_hash"], "reward/card: model_hash")]
    rows += [("Reward model's own page", "reward_model.html in the run's folder", "reward_report")]
    rows += [
        (f"Evidence: {name}", digest, "decision: hashes") for name, digest in (e.decision.get("hashes") or {}).items()
    ]
    return [(what, str(which or ""), source) for what, which, source in rows]
