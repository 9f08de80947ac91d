"""The adoption record: what was decided, how surely, on which evidence, and what it cost."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from components.evaluate_prompts.estimate import Estimates, humans_alone, judge_alone
from components.evaluate_prompts.replay import Settings, Standing, highest_mean, replay, score_means
from components.evaluate_prompts.rounds import observed
from memozy import raters as people
from memozy.records import PULLS, SIMULATED
from memozy.reports import percent


def findings(rows: Sequence[dict], settings: Settings) -> dict[str, Any]:
    """The part of the record that follows from the pulls and the settings alone; a reviewer's is the same."""
    standing = replay(rows, settings)
    decided, last = standing.decided, standing.looks[-1] if standing.looks else None
    simulated = any(r["rating_source"] == SIMULATED for r in rows)
    if settings.rule == "classic":
        arm = highest_mean(rows, settings.arms)
        said = "adopt" if arm else "keep"
    else:
        arm = decided.arm if decided else 0
        said = decided.decision if decided else "undecided"
    n_ratings = [sum(r["rater_id"] is not None and r["prompt_id"] == a for r in rows) for a in settings.arms]
    used = sum(n_ratings)
    return {
        "decision": said,
        "prompt_id": settings.arms[0 if said == "undecided" else arm],
        "leader": settings.arms[arm],
        "incumbent": settings.arms[0],
        "confidence": None if settings.rule == "classic" else settings.confidence,
        "epsilon": settings.epsilon,
        "sentence": sentence(said, settings.arms[arm], len([r for r in rows if r["rater_id"] is None]), used, simulated, settings),
        "rule": settings.rule,
        "scorer": settings.scorer,
        "ratings_used": used,
        "ratings_needed": decided.ratings_needed if decided else None,
        "simulated": simulated,
        "arms": _arms(rows, settings, standing, n_ratings),
        "looks": [{"look": x.look, "ratings": x.ratings, "z": x.z, "boundary": x.boundary, "leader": settings.arms[x.leader]}
                  for x in (decided.looks if decided else [])],
        "rho": last.rho if last else None,
        "judge_weight": last.weight if last else None,
        "raters": _raters(rows, standing),
        "agreement": _agreement(rows),
    }  # fmt: skip


def record(rows: Sequence[dict], settings: Settings, table: pl.DataFrame, more: Mapping[str, Any]) -> dict[str, Any]:
    """The whole record. table: the ARMS; more: what the pulls do not tell (hashes, seed, sampler, ledger, …)."""
    found = findings(rows, settings)
    written = {row["prompt_id"]: {"template": row["template"], "origin": row["origin"]} for row in table.to_dicts()}
    found["arms"] = [arm | written[arm["prompt_id"]] for arm in found["arms"]]
    hashes = {"pulls": rows_digest(rows)} | more["hashes"]
    return found | {"settings": settings.model_dump(mode="json")} | dict(more) | {"hashes": hashes}


def rows_digest(rows: Sequence[dict]) -> str:
    """SHA-256 over the pulls, in their order."""
    told = json.dumps([{name: row[name] for name in PULLS.fields} for row in rows], ensure_ascii=False)
    return hashlib.sha256(told.encode()).hexdigest()


def _arms(rows: Sequence[dict], settings: Settings, standing: Standing, n_ratings: Sequence[int]) -> list[dict]:
    last, decided = standing.looks[-1] if standing.looks else None, standing.decided
    pulls = [r for r in rows if r["rater_id"] is None]
    judge, human = _apart(rows, settings, standing)
    means = score_means(pulls, settings.arms)
    return [
        {
            "prompt_id": prompt_id,
            "n_pulls": sum(r["prompt_id"] == prompt_id for r in pulls),
            "n_ratings": n_ratings[k],
            "n_unread": sum(r["prompt_id"] == prompt_id and r["score"] is None and settings.scorer == "judge" for r in pulls),
            "score_mean": means[k],
            "estimate": float(last.mean[k]) if last else None,
            "se": float(last.se[k]) if last else None,
            "low": float(decided.low[k]) if decided else None,
            "high": float(decided.high[k]) if decided else None,
            "judge": judge[k],
            "human": human[k],
        }
        for k, prompt_id in enumerate(settings.arms)
    ]  # fmt: skip


def _apart(
    rows: Sequence[dict], settings: Settings, standing: Standing
) -> tuple[list[dict | None], list[dict | None]]:
    """What the scores alone and the ratings alone would say of every arm: means and their intervals."""
    nothing: list[dict | None] = [None] * len(settings.arms)
    if settings.scorer not in ("reward", "judge", "human") or not rows:
        return nothing, nothing
    scores, ratings, _ = observed(rows, settings.arms, sorted({r["context_id"] for r in rows}), settings.looks)
    scored = settings.scorer != "human" and (~np.isnan(scores)).sum(axis=1).min() >= 2

    def told(estimates: Estimates) -> list[dict | None]:
        low, high = estimates.interval(settings.confidence)
        return [{"mean": float(m), "low": float(a), "high": float(b)} for m, a, b in zip(estimates.mean, low, high, strict=True)]

    return told(judge_alone(scores)) if scored else nothing, told(humans_alone(scores, ratings)) if standing.looks else nothing


def _raters(rows: Sequence[dict], standing: Standing) -> list[dict]:
    """Each rater's number of ratings, bias against the panel with its standard error, noise, and whether seen not to read."""
    effects = standing.looks[-1].raters if standing.looks and standing.raters else None
    if effects is None:
        return []
    se, careless = np.sqrt(np.diag(effects.covariance)), people.random_raters(*_ratings(rows))
    return [
        {"rater_id": name, "n": int(effects.n[j]), "bias": float(effects.bias[j]), "se": float(se[j]),
         "noise": float(effects.noise[j]), "careless": name in careless}
        for j, name in enumerate(standing.raters[int(place)] for place in effects.raters)
    ]  # fmt: skip


def _ratings(rows: Sequence[dict]) -> tuple[list[float], list[str], list[str]]:
    """Value, item and rater of every rating."""
    rated = [r for r in rows if r["rater_id"] is not None]
    items = [f"{r['prompt_id']}|{r['context_id']}" for r in rated]
    return [r["human_rating"] for r in rated], items, [r["rater_id"] for r in rated]


def _agreement(rows: Sequence[dict]) -> dict | None:
    """Krippendorff's ordinal alpha of the diaries that two or more people rated, and how many those are."""
    value, item, rater = _ratings(rows)
    alpha = people.alpha(value, item, rater) if value else None
    if alpha is None:
        return None
    low, high = people.alpha_interval(value, item, rater) or (None, None)
    return {"alpha": alpha, "low": low, "high": high, "n_items": sum(n > 1 for n in Counter(item).values())}


def sentence(decision: str, arm: str, pulls: int, ratings: int, simulated: bool, settings: Settings) -> str:
    """The decision in one plain sentence."""
    incumbent = settings.arms[0]
    evidence = {"verifier": f"{pulls} verified answers", "feedback": f"{pulls} reactions in the app"}.get(
        settings.scorer, f"{ratings} {'simulated' if simulated else 'human'} ratings"
    )
    if settings.rule == "classic":
        what = f"Adopt {arm}" if decision == "adopt" else f"Keep {arm}"
        return f"{what}: it has the highest mean score after {pulls} pulls. No confidence is stated: nothing corrects the scorer's bias."
    sure = f"with {percent(settings.confidence)} confidence"
    if decision == "adopt":
        return (f"Adopt {arm}: {sure} it is better than {incumbent} and within {settings.epsilon:g} of the best prompt, "
                f"after {evidence}.")  # fmt: skip
    if decision == "keep":
        return f"Keep {incumbent}: {sure} it is within {settings.epsilon:g} of the best prompt, after {evidence}."
    if not ratings and settings.scorer not in ("verifier", "feedback"):
        return f"Undecided: nobody has rated yet, so {incumbent} stays; rate the items in to_rate."
    return f"Undecided after {evidence}: {arm} leads, but not surely enough, so {incumbent} stays."
