"""The page on personal prompts: who is given which, why, and what that is worth. Every figure is computed."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from components.personalize_prompts.config import Config
from components.personalize_prompts.offpolicy import ESTIMATORS
from components.personalize_prompts.segments import FOLDS, Log, Values
from memozy import reports
from memozy.feedback import Allocation
from memozy.reports import LIGHT

NOBODY = "users of no segment"
MOST_ROWS = 40  # of the plot; the table has them all
POLICIES = {
    "logged": "what was in use",
    "global": "the adopted prompt for everyone",
    "personal": "the proposed allocation",
}


def render(
    config: Config, decision: Mapping, allocation: Allocation, log: Log | None, values: Values | None,
    departing: Mapping[int, int], switch: Mapping | None,
) -> str:  # fmt: skip
    """One self-contained HTML page. log, values: none without feedback; switch: none with too little of it."""
    rows = cells(log, values, departing, decision["prompt_id"]) if log else []
    figure = None
    if rows:
        with reports.style():
            drawn = plot(rows[:MOST_ROWS])
        figure = reports.svg(drawn, "values", "Value of each prompt to each segment, with its interval")
    return reports.page(
        Path(__file__).with_name("personal_report.html.j2"),
        config=config, decision=decision, allocation=allocation, log=log, rows=rows, figure=figure, most_rows=MOST_ROWS,
        departing={name_of(log.segments[s]): log.arms[a] for s, a in departing.items()}, switch=switch,
        departed={name_of(log.segments[s]): n for s, n in sorted(switch["departed"].items())} if switch else {},
        retired=float((log.arm == len(log.arms)).mean()) if log else 0.0,
        policies=POLICIES, estimators=ESTIMATORS, folds=FOLDS,
    )  # fmt: skip


def cells(log: Log, values: Values, departing: Mapping[int, int], adopted: str) -> list[dict]:
    """One row for each segment and prompt, segments with the most showings first."""
    return [
        {"segment": name_of(log.segments[s]), "prompt_id": log.arms[a], "n": int(values.n[s, a]),
         "mean": float(values.mean[s, a]), "value": float(values.value[s, a]), "low": float(values.low[s, a]),
         "high": float(values.high[s, a]), "gain": float(values.gain[s, a]), "doubt": float(values.doubt[s, a]),
         "adopted": log.arms[a] == adopted, "given": log.arms[departing.get(s, log.arms.index(adopted))] == log.arms[a]}
        for s in np.argsort(-values.n.sum(axis=1), kind="stable") for a in range(len(log.arms))
    ]  # fmt: skip


def name_of(segment: str | None) -> str:
    return NOBODY if segment is None else segment


def plot(rows: list[dict]) -> Figure:
    """Shrunk values with their intervals, what each segment is given in orange; hollow: the segment's own mean."""
    figure = Figure(figsize=(5.0, 1.1 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    y = np.arange(len(rows))
    mean, value, low, high = (np.array([r[k] for r in rows], float) for k in ("mean", "value", "low", "high"))
    given = np.array([r["given"] for r in rows])
    for mask, colour, label in (
        (~given, LIGHT["blue"], "shrunk value"),
        (given, LIGHT["orange"], "of the prompt given"),
    ):
        axes.hlines(y[mask], low[mask], high[mask], color=colour, linewidth=4, alpha=0.4)
        axes.scatter(value[mask], y[mask], s=38, color=colour, zorder=3, label=label)
    axes.scatter(mean, y, s=38, facecolor="none", edgecolor=LIGHT["muted"], zorder=2, label="own mean")
    axes.set_yticks(y, [f"{r['segment'][:24]} · {r['prompt_id'][:16]}" for r in rows])
    axes.tick_params(axis="y", length=0, labelcolor=LIGHT["ink"])
    axes.grid(axis="x")
    axes.grid(axis="y", visible=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("value, from −1 (disliked) to 1 (liked)")
    figure.legend(loc="outside upper left", ncols=3, handlelength=1.2, columnspacing=1.2, labelcolor=LIGHT["ink"])
    return figure
