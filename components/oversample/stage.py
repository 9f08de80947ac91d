from pathlib import Path

import numpy as np
import polars as pl

from components.oversample.config import Config
from components.oversample.copies import copies, levels
from memozy import records, reports
from memozy.records import RATING_LEVELS
from memozy.stages import In, Out, Result


def run(config: Config, *, rated: In, oversampled: Out, oversample_report: Out) -> Result:
    """Add `copies` to every row: 1 on test rows, more on training rows of rare ratings; and a page on what that changes.

    Nothing is copied here: a trainer expands the rows, inside its own folds. Classes are balanced over what people
    said: a surrogate counts once, as to repeat it would repeat its error.
    """
    rows = records.read(rated, records.RATED)
    rating, train = rows["rating"].to_numpy(), (rows["split"] == "train").to_numpy()
    surrogate = rows["surrogate"].fill_null(False).to_numpy()
    people = train & ~surrogate
    counted = np.ones(len(rows))
    if config.strategy != "none":
        counted[people] = copies(rating[people], config.max_copies, whole=config.strategy == "duplicate")
    records.write(rows.with_columns(copies=pl.Series(counted)), oversampled, records.OVERSAMPLED)
    level = levels(rating)
    counts = {
        "before": _by_level(level[people]),
        "after": _by_level(level[people], counted[people]),
        "surrogates": _by_level(level[train & surrogate]),
        "held out": _by_level(level[~train]),
    }
    oversample_report.write_text(_page(config, counts), encoding="utf-8")
    told = zip(RATING_LEVELS, _by_level(level[train], counted[train]), strict=True)
    return Result(metrics={
        "n_train": int(train.sum()),
        "n_counted": float(counted[train].sum()),
        **{f"n_counted_{name:g}": n for name, n in told if n},
    })  # fmt: skip


def _by_level(level: np.ndarray, counted: np.ndarray | None = None) -> list[float]:
    return np.bincount(level, counted, minlength=len(RATING_LEVELS)).tolist()


def _page(config: Config, counts: dict[str, list[float]]) -> str:
    from memozy.reports import drawing

    shown = {name: [round(n) for n in counts[name]] for name in ("before", "after")}
    words = "; ".join(f"{name}: {' to '.join(f'{n:,}' for n in pair)}"
                      for name, pair in zip(drawing.LEVEL_NAMES, zip(*shown.values(), strict=True), strict=True))  # fmt: skip
    with reports.style():
        drawn = drawing.levels(drawing.LEVEL_NAMES, shown)
        figure = reports.svg(drawn, "levels", f"Training rows by rating, before and after. {words}.")
    template = Path(__file__).with_name("oversample.html.j2")
    rows = zip(drawing.LEVEL_NAMES, *counts.values(), strict=True)
    totals = [sum(column) for column in counts.values()]
    return reports.page(
        template, config=config, names=list(counts), rows=list(rows), totals=totals, figures={"levels": figure}
    )
