"""Refuses rows that leak, and says what the leak would have faked.

Folds and splits keep groups apart. That is worth nothing where one text, photo or diary stands in two groups or on both
sides of the split: a model is then asked what it was told. Mostly it comes of copying rare rows before splitting.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from memozy import records
from memozy.records import OVERSAMPLED, Field, InputError
from memozy.texts import COPY, connected, near_pairs, normalise

FOLDS = 5
MEASURED = 2000  # rows, at most, on which the faked error is measured; leaks are looked for in all
REMEDY = (
    f"Join photos and near-duplicates in groups (split_data, near_duplicate at most {COPY}), split by group, and only "
    "then copy training rows (oversample)"
)
_NUMBERED = replace(OVERSAMPLED, key=("row",), fields=OVERSAMPLED.fields | {"row": Field(pl.Int64, "place in the file")})


def read(file: str | Path) -> pl.DataFrame:
    """The OVERSAMPLED rows of a file. Raises InputError for a file that is no Parquet, rows that leak, all that is no such row.

    Leaks come first: rows that were copied as they are repeat their diary_id, and what they fake is worth knowing.
    """
    try:
        rows = pl.read_parquet(file)
    except pl.exceptions.PolarsError:
        raise InputError("is no Parquet file", file=file, remedy="Give what oversample wrote") from None
    frame = records.check(rows.with_row_index("row"), _NUMBERED, file)
    refuse_leaks(frame, file)
    return records.check(frame, OVERSAMPLED, file)


def refuse_leaks(frame: pl.DataFrame, file: object) -> None:
    """Raise InputError where OVERSAMPLED rows of different groups or splits are linked, or a test row counts twice.

    Linked are rows of one diary, one photo, one context, one group and one text (after `normalise`, or with a cosine of
    COPY or more, see `near_pairs`), however indirectly. The error names the first two rows, how many are linked so, and the
    mean squared error that a ridge on character 1- to 4-grams shows on the rows as they stand and without the leak.
    """
    keys = [normalise(text) for text in frame["text"]]
    columns = {
        "are one diary": frame["diary_id"].to_list(),
        "hold the same text": keys,
        "are of one photo": frame["image_id"].fill_null(frame["context_id"]).to_list(),
        "are of one context": frame["context_id"].to_list(),
        "stand in one group": frame["group_id"].to_list(),
    }
    near = near_pairs(keys, COPY, spanning=True)
    links = {link: _with_first(column) for link, column in columns.items()} | {"hold nearly the same text": near.tolist()}
    sides = list(zip(frame["split"], frame["group_id"], strict=True))
    crossing = {link: next((p for p in pairs if sides[p[0]] != sides[p[1]]), None) for link, pairs in links.items()}
    copied = frame.filter(pl.col("copies") > 1, split="test")
    link = next((link for link, pair in crossing.items() if pair), None)
    if link is None and copied.is_empty():
        return
    parts = connected(list(columns.values()), near)
    if link:
        one, other = (f"diary '{frame['diary_id'][row]}' ({sides[row][0]}, group '{sides[row][1]}')"
                      for row in crossing[link])  # fmt: skip
        side = pl.struct("split", "group_id")
        n_linked = frame.with_columns(part=parts).filter(side.n_unique().over("part") > 1).height
        problem = f"{one} and {other} {link}; {n_linked} of {len(frame)} rows are linked across groups or splits"
    else:
        problem = (f"diary '{copied['diary_id'][0]}' of the test split counts {copied['copies'][0]} times; "
                   f"{len(copied)} test rows count more than once")  # fmt: skip
    frame = frame.with_columns(part=parts, copy_of=connected([keys], near))
    faked = _faked(frame.select("text", "rating", "copies", "split", "group_id", "part", "copy_of"))
    raise InputError(f"{problem}. {faked}", file=file, remedy=REMEDY)


def _with_first(column: Sequence[Hashable]) -> Iterable[tuple[int, int]]:
    """Every row number, behind that of the first row with the same value."""
    first: dict[Hashable, int] = {}
    return ((first.setdefault(value, row), row) for row, value in enumerate(column))


def _faked(rows: pl.DataFrame) -> str:
    """What the error of a simple model reads with the leak and without it, in a sentence.

    rows: `part` numbers what is linked, `copy_of` what is one text. Where the leak reaches the test rows, it is the error
    on them; else that of a cross-validation of the training rows, by group. Without the leak a row is asked of a model
    that saw nothing of its part, and each text counts once, however often it stands there.
    """
    n_rows = len(rows)
    rows = rows.with_columns(part=_shuffled(rows["part"])).sort("part", maintain_order=True).head(MEASURED)
    split, part, copies = (rows[name].to_numpy() for name in ("split", "part", "copies"))
    train, test = np.flatnonzero(split == "train"), np.flatnonzero(split == "test")
    if np.isin(part[test], part[train]).any() or (copies[test] > 1).any():
        error = "a test MSE"
        leaking = [(train, test)]
        parted = [test[part[test] % FOLDS == fold] for fold in range(FOLDS)]
        apart = [(train[~np.isin(part[train], part[asked])], asked) for asked in parted]
    else:
        error = "a cross-validated MSE"
        own = _shuffled(rows["group_id"]) % FOLDS
        _, first, of_part = np.unique(part, return_index=True, return_inverse=True)
        leaking, apart = (
            [(train[fold[train] != n], train[fold[train] == n]) for n in range(FOLDS)]
            for fold in (own, own[first][of_part])  # the same folds, but for rows of parts that were torn apart
        )
    with_leak = _mse(rows, leaking, np.where(split == "test", copies, 1))
    without = _mse(rows, apart, 1 / rows.select(pl.len().over("copy_of")).to_series().to_numpy())
    if with_leak is None or without is None:
        return "Without the leak too few rows are left to say what it fakes"
    measured = f" (measured on {MEASURED} rows)" if n_rows > MEASURED else ""
    return f"A ridge on characters would show {error} of {with_leak:.3f}; without the leak it is {without:.3f}{measured}"


def _shuffled(labels: pl.Series) -> np.ndarray:
    """A number for each distinct label, in an order that means nothing: (n,)."""
    _, numbers = np.unique(labels.to_numpy(), return_inverse=True)
    return np.random.default_rng(0).permutation(numbers.max() + 1)[numbers]


def _mse(rows: pl.DataFrame, rounds: list[tuple[np.ndarray, np.ndarray]], weights: np.ndarray) -> float | None:
    """The weighted mean squared error over rounds of (rows fitted, rows asked); None where nothing is left to fit."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    texts, ratings = rows["text"].to_numpy(), rows["rating"].to_numpy()
    total = weight = 0.0
    for fitted, asked in rounds:
        if not len(asked):
            continue
        if not len(fitted):
            return None
        grams = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True)
        model = make_pipeline(grams, Ridge(alpha=0.3)).fit(texts[fitted], ratings[fitted])
        said = np.clip(model.predict(texts[asked]), -1, 1)
        total += float(weights[asked] @ (said - ratings[asked]) ** 2)
        weight += float(weights[asked].sum())
    return total / weight if weight else None
