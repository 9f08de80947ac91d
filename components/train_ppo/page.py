"""The page on a training: whether the policy cheats, how it went, and what it writes now."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from components.train_ppo import findings, plots
from memozy import reports
from memozy.reports import number
from memozy.tracking import flat

BADGES = {"sound": ("Sound", "green"), "hacking": ("Hacking", "orange"), "kl": ("Too far", "orange"),
          "unguarded": ("Unguarded", "orange"), "nothing": ("Nothing gained", "orange")}  # fmt: skip
PLOTS = {  # name -> what stands in it: panel -> label -> column of the curves
    "hacking": {"score": {"proxy": "objective/proxy", "gold": "objective/gold"}},
    "reward": {"per response": {"score": "objective/score", "reward": "objective/reward"}, "KL, nats": {"KL": "objective/kl"},
               "KL coefficient": {"coefficient": "objective/kl_coef"}},
    "policy": {"entropy, nats": {"entropy": "objective/entropy"}, "clip fraction": {"clip fraction": "ppo/policy/clipfrac"},
               "explained variance": {"explained variance": "ppo/value/explained_variance"}},
    "texts": {"tokens": {"tokens": "objective/length"},
              "share": {"ends by itself": "objective/eos_rate", "different": "objective/distinct",
                        "different pairs": "objective/distinct_2"},
              "share with a fault": {"fault": "env/fault"}},
}  # fmt: skip
LABELS = {"hacking": "The reward model's score, the proxy, against the gold model's", "reward": "Score, reward, KL and its coefficient",
          "policy": "Entropy, clip fraction and explained variance", "texts": "What the responses are like"}  # fmt: skip
OPEN = 4  # pairs of answers that are shown at once


def render(told: Mapping) -> str:
    """One self-contained HTML page.

    told: what the stage gathers: config, base, rows (of the curves), verdict, kept, compared (rows of samples), gold (its
    card, or None) and unwatched (why there is none).
    """
    badge, colour = BADGES[told["verdict"].kind]
    before, after = ([row for row in told["compared"] if row["when"] == when] for when in ("before", "after"))
    return reports.page(
        Path(__file__).with_name("ppo_report.html.j2"), **told, badge=badge, colour=colour, figures=_draw(told["rows"], told["kept"]),
        measures=findings.measures(told["rows"], told["kept"]), changes=findings.changes(told["compared"]),
        weaknesses=findings.weaknesses(told), pairs=list(zip(before, after, strict=True)), shown=OPEN, spread=spread,
        settings=flat(told["config"]), columns=[c for c in findings.MEASURES if c in told["rows"][0]], names=findings.MEASURES,
        cost=sum(row.get("cost_usd", 0.0) for row in told["rows"]), seconds=_seconds(told["rows"]),
    )  # fmt: skip


def untrained() -> str:
    """The page of a run whose recipe leaves this stage out."""
    return reports.page(Path(__file__).with_name("untrained.html.j2"))


def spread(change: Sequence[float | None]) -> str:
    """[0.2, 0.1, 0.3] → "+0.20 (0.10 to 0.30)"; the change alone where there are no bounds."""
    value, low, high = change
    sign = "+" if round(value, 2) > 0 else ""
    return sign + number(value) + ("" if low is None else f" ({number(low)} to {number(high)})")


def _seconds(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """phase -> seconds of each update."""
    names = [name for name in rows[0] if name.startswith("seconds/")]
    return {name.removeprefix("seconds/"): [row.get(name, 0.0) for row in rows] for name in names}


def _draw(rows: Sequence[Mapping[str, float]], kept: int) -> dict[str, Markup]:
    """Inline SVGs by name; what was not measured is left out."""
    figures = {}
    with reports.style():
        for name, panels in PLOTS.items():
            known = {panel: {label: [row.get(key, float("nan")) for row in rows] for label, key in series.items() if key in rows[0]}
                     for panel, series in panels.items()}  # fmt: skip
            known = {panel: series for panel, series in known.items() if series}
            if known:
                words = "; ".join(
                    f"{label}: {number(values[0])} at the start, {number(values[kept])} at the update kept, {number(values[-1])} at the last"
                    for series in known.values() for label, values in series.items()
                )  # fmt: skip
                label = f"{LABELS[name]}, over {len(rows)} updates; update {kept} is kept. {words}."
                figures[name] = reports.svg(plots.curves(known, kept), name, label)
        if seconds := _seconds(rows):
            words = "; ".join(
                f"{phase}: {number(sum(values) / len(values))} on average" for phase, values in seconds.items()
            )
            figures["seconds"] = reports.svg(
                plots.phases(seconds), "seconds", f"Seconds of each update by phase. {words}."
            )
    return figures
