"""The page on a data set: which rules it keeps, what it is like, who rated it."""

from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

from components.validate_data import plots
from components.validate_data.config import Config
from components.validate_data.findings import SHOWN, Findings, shown
from memozy import drift, reports
from memozy.reports import number, percent

OPEN = 20  # raters that are shown at once


def render(found: Findings, config: Config, version: Mapping) -> str:
    """One self-contained HTML page. version: what was pinned; empty where a rule was broken."""
    ordered = sorted(found.outcomes, key=lambda o: o.passed)  # what is broken first
    exceptions = [
        {"outcome": o, "row": row + 1 if found.tables[o.table].file else None, "id": found.tables[o.table].name_of(row),
         "value": found.value(o, row)}
        for o in ordered if o.rule.column for row in o.rows[:SHOWN]
    ]  # fmt: skip
    whole = "diaries" in found.tables  # every column is there
    return reports.page(
        Path(__file__).with_name("validation.html.j2"), found=found, config=config, version=version, exceptions=exceptions,
        rules=ordered, figures=_draw(found, config) if whole else {},
        counts={name: table.given.height for name, table in found.tables.items()}, pairs=_pairs(found) if whole else [],
        tiles=_tiles(found) if whole else [], open=OPEN, shown=SHOWN, sure=drift.SURE,
    )  # fmt: skip


def _tiles(found: Findings) -> list[dict[str, str]]:
    """The measures to see first."""
    panel = found.panel
    tiles = []
    if panel is not None:
        random = f"{sum(rater.at_random for rater in panel.raters)} at random"
        between = (
            "95 %: {} to {}".format(*map(number, panel.interval)) if panel.interval else "no diary has two ratings"
        )
        tiles += [
            {"name": "Raters", "value": number(panel.n_raters), "detail": random},
            {"name": "Agreement, α", "value": number(panel.alpha), "detail": between},
        ]
    held = {(table, row) for (table, _), rows in found.personal.items() for row in rows}
    tiles += [
        {"name": "Near-duplicates", "value": percent(found.copied), "detail": f"of {number(found.n_compared)} texts compared"},
        {"name": "Personal data", "value": number(len(held)), "detail": "texts hold some"},
    ]
    if found.drifts:
        largest = max(found.drifts, key=lambda d: d.divergence)
        tiles.append({"name": "Largest drift", "value": number(largest.divergence, 3),
                      "detail": f"bits, of {largest.of}; p = {number(largest.p, 3)}"})  # fmt: skip
    return tiles


def _pairs(found: Findings) -> list[list[dict[str, str]]]:
    diaries = found.tables["diaries"]
    return [[{"id": diaries.name_of(row), "text": shown(diaries.given["text"][row])} for row in pair]
            for pair in found.pairs[:SHOWN]]  # fmt: skip


def _draw(found: Findings, config: Config) -> dict[str, Markup]:
    """Inline SVGs by name."""
    figures = {}
    with reports.style():
        levels, n = found.tables["classes"].given
        words = ", ".join(f"{level}: {count:,}" for level, count in zip(levels, n, strict=True))
        figures["classes"] = reports.svg(
            plots.counts(levels.to_list(), n.to_list()), "classes", f"Ratings by level. {words}."
        )
        characters = found.tables["diaries"].measures["chars"].drop_nulls().to_numpy()
        if len(characters):
            label = f"Lengths of texts: {characters.min():,} to {characters.max():,} characters."
            drawn = plots.lengths(characters, config.min_chars, config.max_chars)
            figures["lengths"] = reports.svg(drawn, "lengths", label)
        for each in found.drifts:
            name = f"drift-{each.of.split()[0]}"
            label = f"Shares of {each.of} in the last version and in what is new: {each.divergence:.3f} bits apart."
            figures[name] = reports.svg(plots.drift(each), name, label)
        told = [rater for rater in found.panel.raters if rater.bias is not None][:OPEN] if found.panel else []
        if told:
            label = "; ".join(f"{rater.name}: {rater.bias:+.2f}, standard error {rater.se:.2f}" for rater in told)
            drawn = plots.biases([r.name for r in told], [r.bias for r in told], [r.se for r in told])
            figures["biases"] = reports.svg(drawn, "biases", f"How raters lean. {label}.")
    return figures
