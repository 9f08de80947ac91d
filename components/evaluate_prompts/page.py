"""The page a reviewer approves a prompt by. Everything it says stands in the adoption record or follows from the pulls."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

import polars as pl
from markupsafe import Markup
from matplotlib.figure import Figure

from components.evaluate_prompts import plots
from components.evaluate_prompts.rounds import UNREAD
from memozy import reports
from memozy.reports import MISSING, drawing, money, number, percent

VERDICTS = {"adopt": ("Adopt", "green"), "keep": ("Keep", "blue"), "undecided": ("Undecided", "orange")}
SCORES, PEOPLE = "scores alone", "people alone"
_JOINED = ("corrected", "A corrected estimate joins scores and ratings: ratings say by how much the scores are wrong, scores make up "
           "for how few ratings there are. Scores alone carry the scorer's bias for an arm; people alone are few.", "ratings")  # fmt: skip
# scorer -> what an estimate is called, how it comes about, and what more of would decide
ESTIMATES = {
    "reward": _JOINED, "judge": _JOINED,
    "human": ("estimate", "People rated every text; the estimate is their mean, each rater's bias taken out.", "ratings"),
    "verifier": ("estimate", "A verifier knows what every answer is worth; the estimate is the mean.", "verified answers"),
    "feedback": ("estimate", "The estimate is the mean of users' reactions in the app, each weighted by how likely its prompt was "
                 "to be shown.", "reactions"),
}  # fmt: skip
ABSENT = dict.fromkeys(("confidence", "leader", "ratings_needed", "sampler", "task", "rho", "judge_weight", "agreement",
                        "ledger", "seed", "cost_usd", "answered"))  # fmt: skip
ABSENT_OF_ARM = dict.fromkeys(("estimate", "low", "high", "se", "score_mean", "judge", "human", "n_unread"))


def render(record: Mapping, pulls: pl.DataFrame, arms: pl.DataFrame) -> str:
    """One self-contained HTML page.

    record: what `record.record` tells; what is None or absent there is said to be missing. pulls: PULLS, in the order
    in which they happened; arms: ARMS.
    """
    known = {"looks": [], "raters": [], "hashes": {}, "settings": {}, **ABSENT, **record}
    known["leader"] = known["leader"] or known["prompt_id"]
    rows = arm_rows(known, arms)
    badge, colour = VERDICTS[known["decision"]]
    estimated, how, _ = ESTIMATES[known["scorer"]]
    return reports.page(
        Path(__file__).with_name("decision.html.j2"),
        record=known, badge=badge, colour=colour, arms=rows, letters={row["prompt_id"]: row["letter"] for row in rows},
        tiles=tiles(known, rows), warnings=warnings(known, rows), needed=needed(known), provenance=provenance(known),
        figures=_draw(known, rows, pulls), between=between,
        apart={SCORES: "judge", PEOPLE: "human"}, estimated=estimated, how=how, role=role(known),
    )  # fmt: skip


def arm_rows(record: Mapping, arms: pl.DataFrame) -> list[dict]:
    """The record's arms with their letter, template and part in the decision."""
    written = {row["prompt_id"]: row for row in arms.iter_rows(named=True)}
    return [
        {"parent_prompt_id": None, **ABSENT_OF_ARM, **written.get(arm["prompt_id"], {}), **arm}
        | {
            "letter": chr(ord("A") + i) if i < 26 else f"#{i + 1}",
            "chosen": arm["prompt_id"] == record["leader"],
            "incumbent": arm["prompt_id"] == record["incumbent"],
        }
        for i, arm in enumerate(record["arms"])
    ]


def value(arm: Mapping) -> float | None:
    """What the arm is held to be worth: its estimate, and without one (rule classic) the mean of its scores."""
    return arm["score_mean"] if arm["estimate"] is None else arm["estimate"]


def role(record: Mapping) -> str:
    """What the arm in front is called; nothing where none is."""
    return "chosen" if record["decision"] != "undecided" else "leads" if record["looks"] else ""


def tiles(record: Mapping, arms: Sequence[Mapping]) -> list[dict]:
    """The few figures to see first, each with what it is to be held against and its key in the record."""
    leader = next(arm for arm in arms if arm["chosen"])
    alpha, ledger = record["agreement"], record["ledger"]
    spent = [ledger["settled_usd"], ledger["lost_usd"]] if ledger else None
    if record["decision"] != "undecided":
        more = "enough to decide" if record["ratings_used"] else "none takes part"
    else:
        more = (
            f"{number(record['ratings_needed'])} more needed"
            if record["ratings_needed"]
            else "how many more is not known"
        )
    found = [
        ("Confidence", percent(record["confidence"]), f"margin {number(record['epsilon'])} rating points"
         if record["confidence"] else "none is stated", "confidence, epsilon"),
        (f"{ {'chosen': 'Chosen', 'leads': 'Leader', '': 'In use'}[role(record)]}: {leader['letter']}", number(value(leader)),
         between(leader["low"], leader["high"]) or "no interval", "arms"),
        ("Ratings", number(record["ratings_used"]), more, "ratings_used, ratings_needed"),
        ("Score and rating, ρ", number(record["rho"]), f"a score's weight: {number(record['judge_weight'])}", "rho, judge_weight"),
        ("Raters' agreement, α", number(alpha and alpha["alpha"]), f"{between(alpha['low'], alpha['high']) or 'no interval'}; "
         f"{number(alpha['n_items'])} items rated twice" if alpha else "nothing was rated twice", "agreement"),
        ("Cost", money(sum(spent) if spent else record["cost_usd"]),
         f"of the whole run so far; lost {money(spent[1])}" if spent else "of this evaluation", "ledger" if spent else "cost_usd"),
    ]  # fmt: skip
    return [dict(zip(("name", "value", "detail", "source"), each, strict=True)) for each in found]


def warnings(record: Mapping, arms: Sequence[Mapping]) -> list[str]:
    """What a reviewer should know before approving; each computed from the record."""
    found = []
    letters = {arm["prompt_id"]: arm["letter"] for arm in arms}
    scored = [arm for arm in arms if arm["judge"] is not None]
    if scored and record["confidence"] is not None:
        first = max(scored, key=lambda arm: arm["judge"]["mean"])
        if not first["chosen"]:
            found.append(f"The scores alone would have put {first['letter']} first, not {letters[record['leader']]}: "
                         "here the ratings decide.")  # fmt: skip
    found += [f"{number(arm['n_unread'])} of {number(arm['n_pulls'])} answers about {arm['letter']} could not be read and count "
              f"as a score of {number(UNREAD, 0)}." for arm in arms if arm["n_unread"]]  # fmt: skip
    answered = record.get("answered")
    if answered and answered["given"] < answered["asked"]:
        found.append(f"Of {number(answered['asked'])} ratings asked for in the last round {number(answered['given'])} were given: "
                     "the confidence assumes that chance left out the others, not what was in them.")  # fmt: skip
    found += [f"{rater['rater_id']} seems not to read: the ratings agree with the others' no better than chance would."
              for rater in record["raters"] if rater["careless"]]  # fmt: skip
    return found


def needed(record: Mapping) -> str:
    """What it would still take to decide; nothing where it is decided."""
    if record["decision"] != "undecided":
        return ""
    planned, made, what = record["settings"].get("looks"), len(record["looks"]), ESTIMATES[record["scorer"]][2]
    if planned is not None and made >= planned:
        left = f"All {planned} planned looks are used, and the confidence covers planned looks only: start a new evaluation."
    else:
        left = f"{made} of {number(planned)} planned looks are used."
    if record["ratings_needed"] is None:
        return f"How many more {what} it would take is not known. {left}"
    return f"About {number(record['ratings_needed'])} more {what} would decide it if the estimates are right. {left}"


def provenance(record: Mapping) -> list[tuple[str, str]]:
    """(key of the record, value) of all that is needed to decide again, or to find what was decided on."""
    rows = [(key, record.get(key)) for key in ("task", "rule", "scorer", "sampler", "seed")]
    rows += [(f"settings.{key}", found) for key, found in record["settings"].items()]
    rows += [(f"hashes.{key}", found) for key, found in record["hashes"].items()]
    return [
        (key, v if isinstance(v, str) else MISSING if v is None else json.dumps(v, ensure_ascii=False))
        for key, v in rows
    ]


def between(low: float | None, high: float | None, digits: int = 2) -> str:
    """0.1, 0.3 → "0.10 to 0.30"; nothing where a bound is not known."""
    return "" if low is None or high is None else f"{number(low, digits)} to {number(high, digits)}"


def sampled(pulls: pl.DataFrame, worth: Mapping[str, float | None]) -> tuple[list[float], list[float]]:
    """Cumulative reward and regret after each pull, in their order; empty where nothing was scored.

    Reward: the score. Regret: what the arm of greatest worth would bring more than the arm pulled, by their worths.
    """
    own = pulls.filter(
        pl.col("rater_id").is_null() & pl.col("prompt_id").is_in([k for k, v in worth.items() if v is not None])
    )
    if own["score"].is_null().all():
        return [], []
    best = max(v for v in worth.values() if v is not None)
    return (
        list(accumulate(own["score"].fill_null(UNREAD))),
        list(accumulate(best - worth[k] for k in own["prompt_id"])),
    )


def _draw(record: Mapping, arms: Sequence[Mapping], pulls: pl.DataFrame) -> dict[str, Markup]:
    """Inline SVGs by name; a plot that has nothing to show is left out, and the page says why."""
    figures: dict[str, Markup] = {}
    estimated = ESTIMATES[record["scorer"]][0]

    def add(name: str, label: str, plot: Callable[..., Figure], *data: object) -> None:
        figures[name] = reports.svg(plot(*data), name, label)

    with reports.style():
        if series := _intervals(arms, estimated):
            names = [f"{arm['letter']} · {_short(arm['prompt_id'])}" for arm in arms]
            told = [f"{arm['letter']}: " + ", ".join(
                        f"{kind} {number(each[i][0])} ({between(*each[i][1:]) or 'no interval'})"
                        for kind, each in series.items() if each[i]) for i, arm in enumerate(arms)]  # fmt: skip
            best = max((each[0] for each in series.get(estimated, []) if each), default=None)
            low = None if best is None else best - record["epsilon"]
            told += [f"Within the margin of the best: {between(low, best)}"] if best is not None else []
            band = None if best is None else (f"within {number(record['epsilon'])} of the best", low, best)
            add("forest", f"Each arm's mean rating. {'; '.join(told)}.", drawing.intervals, names, series,
                "mean rating" if estimated in series else f"mean, {SCORES}", {}, band)  # fmt: skip
        if record["looks"]:
            letters = {arm["prompt_id"]: arm["letter"] for arm in arms}
            rows = [look | {"leader": letters.get(look["leader"], look["leader"])} for look in record["looks"]]
            words = "; ".join(f"look {r['look']}: z {number(r['z'])}, boundary {number(r['boundary'])}" for r in rows)
            add("looks", f"z against its boundary at each planned look. {words}.", drawing.looks, rows)
        reward, regret = sampled(pulls, {arm["prompt_id"]: value(arm) for arm in arms})
        if reward:
            label = f"After {len(reward)} pulls: cumulative reward {number(reward[-1])}, cumulative regret {number(regret[-1])}."
            add("sampling", label, plots.sampling, reward, regret)
        for name, what, rows in (("pulls", "Pulls", pulls.filter(pl.col("rater_id").is_null())),
                                 ("ratings", "Ratings", pulls.filter(pl.col("rater_id").is_not_null()))):  # fmt: skip
            if rows.height:
                rounds = sorted(rows["round"].unique())
                table = [[rows.filter(prompt_id=arm["prompt_id"], round=r).height for r in rounds] for arm in arms]
                words = "; ".join(f"{arm['letter']}: " + ", ".join(f"{n} in round {r}" for n, r in zip(each, rounds, strict=True))
                                  for arm, each in zip(arms, table, strict=True))  # fmt: skip
                add(name, f"{what} of each arm in each round. {words}.", drawing.allocation, table,
                    [arm["letter"] for arm in arms], rounds)  # fmt: skip
    return figures


def _intervals(arms: Sequence[Mapping], estimated: str) -> dict[str, list]:
    """[value, low, high] or None of every arm, for each of the three ways to estimate it that has any."""
    told = {
        estimated: [[arm["estimate"], arm["low"], arm["high"]] if arm["estimate"] is not None else None for arm in arms],
        SCORES: [[arm["judge"][k] for k in ("mean", "low", "high")] if arm["judge"] else None for arm in arms],
        PEOPLE: [[arm["human"][k] for k in ("mean", "low", "high")] if arm["human"] else None for arm in arms],
    }  # fmt: skip
    return {kind: each for kind, each in told.items() if any(each)}


def _short(name: str) -> str:
    return name if len(name) <= 20 else name[:19] + "…"
