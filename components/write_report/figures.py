"""Which plots a run gets: those it has the numbers for, each with what it shows in words."""

from collections.abc import Callable, Mapping, Sequence
from math import isnan, nan

import polars as pl
from markupsafe import Markup
from matplotlib.figure import Figure

from components.write_report import plots
from components.write_report.view import Evidence
from memozy import reports
from memozy.reports import drawing, number


def draw(evidence: Evidence, view: Mapping) -> dict[str, Markup]:
    """Inline SVGs by name; a plot that has nothing to show is left out, and the page says why."""
    e, figures = evidence, {}

    def add(name: str, label: str, plot: Callable[..., Figure], *data: object) -> None:
        figures[name] = reports.svg(plot(*data), name, label)

    with reports.style():
        before, after, test = (view["levels"][name] for name in ("before", "after", "test"))
        counts = {"train": before, "train, oversampled": after, "test": test}
        add(
            "levels",
            "Diaries per rating level. " + _listed(drawing.LEVEL_NAMES, counts),
            drawing.levels,
            drawing.LEVEL_NAMES,
            counts,
        )
        for split, colour in (("test", drawing.ORANGE), ("train", drawing.BLUE)):
            rows = e.predictions.filter(split=split)
            if rows.height:
                label = f"Predicted rating against rating, {rows.height} {split} diaries."
                add(f"predictions-{split}", label, plots.predictions, rows["rating"], rows["predicted"], colour)
        for name, title, series, below in _CURVES:
            known, also = _columns(e.curves, series), _columns(e.curves, below)
            if known:
                steps = [row["step"] for row in e.curves]
                label = f"{title} over {len(steps)} PPO updates. {_ends(known | also)}"
                add(name, label, plots.curves, steps, known, also)
        add("arms", "Estimate and interval of each arm. " + _arms(view["arms"]), plots.arms, view["arms"])
        if e.pulls.height:
            rounds, of_rater = sorted(e.pulls["round"].unique()), pl.col("rater_id").is_not_null()
            letters = [arm["letter"] for arm in view["arms"]]
            for name, what, rows in (
                ("pulls", "Diaries", e.pulls.filter(~of_rater)),
                ("ratings", "Ratings", e.pulls.filter(of_rater)),
            ):
                table = [
                    [rows.filter(prompt_id=arm["prompt_id"], round=r).height for r in rounds] for arm in view["arms"]
                ]
                words = _listed([f"round {r}" for r in rounds], dict(zip(letters, table, strict=True)))
                add(name, f"{what} of each arm in each round. {words}", drawing.allocation, table, letters, rounds)
        if view["looks"]:
            rows = [look | {"leader": view["letters"].get(look["leader"], look["leader"])} for look in view["looks"]]
            words = "; ".join(f"look {r['look']}: z {number(r['z'])}, boundary {number(r['boundary'])}" for r in rows)
            add("looks", f"z against its boundary at each planned look. {words}.", drawing.looks, rows)
    return figures


# name, title, the series by label, and the series of the flat panel below
_CURVES = (
    ("score", "Score and reward", {"score": "objective/score", "reward (score − KL penalty)": "objective/reward"}, {}),
    ("kl", "KL to the start", {"KL": "objective/kl"}, {"its coefficient": "objective/kl_coef"}),
    ("clipfrac", "Clip fraction", {"clip fraction": "ppo/policy/clipfrac"}, {}),
    ("entropy", "Entropy", {"entropy": "objective/entropy"}, {}),
)  # fmt: skip


def _columns(curves: Sequence[Mapping], series: Mapping[str, str]) -> dict[str, list[float]]:
    """The series that at least one update recorded, with NaN where an update did not."""
    found = {label: [nan if row.get(key) is None else row[key] for row in curves] for label, key in series.items()}
    return {label: values for label, values in found.items() if not all(map(isnan, values))}


def _ends(series: Mapping[str, Sequence[float]]) -> str:
    return "; ".join(f"{label} from {number(v[0], 3)} to {number(v[-1], 3)}" for label, v in series.items()) + "."


def _listed(names: Sequence[str], counts: Mapping[str, Sequence[int]]) -> str:
    def row_in_words(row: Sequence[int]) -> str:
        return ", ".join(f"{n} at {name}" for name, n in zip(names, row, strict=True))

    return "; ".join(f"{label}: {row_in_words(row)}" for label, row in counts.items()) + "."


def _arms(rows: Sequence[Mapping]) -> str:
    each = (f"{r['letter']}: {number(r['estimate'])}, from {number(r['low'])} to {number(r['high'])}" for r in rows)
    return "; ".join(each) + "."
