"""What people prefer to what, read from a file or from ratings, and which of it may be learned from.

A line of a file of JSON is one person's judgement, in one of two forms:

    {"chosen": "…", "rejected": "…"}
    {"ranked": ["best", "…", ["two that", "tie"], "worst"]}      2 to 9 outputs of one context

or a row of a table (CSV, XLSX, Parquet, …) with columns `chosen` and `rejected`, or with `text` and `rank`, one row for each
output of a ranked list, 1 the best, equal ranks a tie; the rows of one list agree in everything that is said here:

With it may stand "group_id", "image_id" and "context_id": judgements of one group never stand on both sides of a split;
without a group the photo is one, or else the context, without all three lines of one prompt are, and a line without a
prompt is one of its own. "prompt": what the outputs answer. "rater_id": who judged.

People disagree, so both a > b and b > a may stand in a group and count (Bradley-Terry makes odds of them), and a
judgement given by two raters counts twice. The same rater's same judgement counts once; without "rater_id" every line is
taken for another person's. A list of k outputs gives k(k-1)/2 pairs less those that tie (Ouyang et al. 2022, §3.5).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from memozy import tables
from memozy.records import PAIRS, InputError, check, json_lines
from memozy.texts import COPY, clean, connected, near_pairs, normalise

LONGEST = 9
OPPONENTS = 4  # each side: within up to 9 texts of a group, everything is compared with everything
KEYS = ("group_id", "image_id", "context_id", "prompt", "rater_id")


def read_pairs(path: str | Path) -> pl.DataFrame:
    """The PAIRS of a file, texts cleaned, in the file's order.

    Raises InputError, with the line, for what is not text, a list of fewer than 2 or more than 9 outputs or with one
    twice, a list whose outputs all tie, and chosen and rejected that are the same.
    """
    path = Path(path)
    rows, seen = [], set()
    for number, line in _lines(path):
        prompt, rater = line.get("prompt"), line.get("rater_id")
        group = line.get("group_id") or line.get("image_id") or line.get("context_id") or _group_of(prompt, number)
        for place, (chosen, rejected) in enumerate(_preferences(line, path, number), start=1):
            judgement = (group, rater, chosen, rejected)
            if rater is not None and judgement in seen:
                continue
            seen.add(judgement)
            rows.append({"pair_id": f"{number}.{place}", "group_id": group, "context_id": line.get("context_id"),
                         "image_id": line.get("image_id"), "prompt": prompt, "chosen": chosen, "rejected": rejected})  # fmt: skip
    if not rows:
        raise InputError(
            "holds no rows", file=path, remedy="It should hold pairs or ranked lists, one JSON object a line"
        )
    return check(pl.DataFrame(rows, schema=PAIRS.dtypes), PAIRS, path)


def pairs_from_ratings(ratings: np.ndarray, groups: np.ndarray, seed: int = 0) -> np.ndarray:
    """(m, 2) positions (chosen, rejected): texts of one group whose ratings differ.

    ratings and groups: (n,). In a group the texts stand in a shuffled ring and each meets the OPPONENTS next to it on
    either side: every pair of up to 9 texts, and never more than n * OPPONENTS pairs. Texts alone in their groups
    make one group together, so every text is compared with some other; texts that have a group meet only each other.
    (On real diaries five to a photo, pairs across photos added nothing: R² 0.36 with and 0.365 without.)
    """
    rng = np.random.default_rng(seed)
    _, group, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    group = np.where(sizes[group] == 1, -1, group)
    rings = (rng.permutation(np.flatnonzero(group == g)) for g in np.unique(group))
    met = np.concatenate([np.empty((0, 2), int), *(_ring(ring) for ring in rings)])
    left, right = np.asarray(ratings)[met].T
    return np.where((left > right)[:, None], met, met[:, ::-1])[left != right]


def _ring(texts: np.ndarray) -> np.ndarray:
    """(m, 2): each of `texts` with those up to OPPONENTS steps on, no pair twice."""
    n = len(texts)
    steps = range(1, min(OPPONENTS, n // 2) + 1)
    met = [np.stack([texts, np.roll(texts, -s)], axis=1)[: n // 2 if 2 * s == n else n] for s in steps]
    return np.concatenate([np.empty((0, 2), int), *met])


def place_pairs(pairs: pl.DataFrame, train: pl.DataFrame, test: pl.DataFrame) -> pl.DataFrame:
    """The PAIRS that may be learned from; `group_id` is now the group of the training rows that a pair is linked to.

    Linked are rows (of RATED) and pairs that share the id of a group, a photo or a context, or a text (after `normalise`,
    or with a cosine of COPY or more), however indirectly. What is linked to a test row is left out, and so is what is linked to
    training rows of several groups, for no fold could hold it out with both. What no row is linked to keeps its group.
    """
    ids, text = ("group_id", "context_id", "image_id"), {"text": "text", "other_text": "text"}
    both = pl.concat([
        train.select(*ids, **text, home="group_id", tested=pl.lit(False)),
        test.select(*ids, **text, home=pl.lit(None, pl.String), tested=pl.lit(True)),
        pairs.select(*ids, text="chosen", other_text="rejected", home=pl.lit(None, pl.String), tested=pl.lit(False)),
    ]).with_row_index("owner")  # fmt: skip
    ends = pl.concat(
        [
            both.select("owner", id="group_id", text="text"),
            both.select("owner", id=pl.coalesce("context_id", "group_id"), text="other_text"),
            both.select("owner", id=pl.coalesce("image_id", "group_id"), text="text"),
        ]
    )
    keys = [normalise(text) for text in ends["text"]]
    parts = connected([ends["owner"].to_list(), ends["id"].to_list(), keys], near_pairs(keys, COPY, spanning=True))[: len(both)]
    homes = pl.col("home").drop_nulls()
    linked = both.with_columns(part=parts).select(
        home=homes.first().over("part"), free=(homes.n_unique() < 2).over("part") & ~pl.col("tested").any().over("part")
    ).tail(len(pairs))  # fmt: skip
    return pairs.with_columns(group_id=linked["home"].fill_null(pairs["group_id"])).filter(linked["free"])


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and object of each line, or of each list that a table's rows make; what stands under KEYS is text."""
    lines = json_lines(path, "pairs or ranked lists") if not path.is_file() or tables.is_json(path) else _table(path)
    for number, row in lines:
        for key in KEYS:
            if row.get(key) is not None:
                row[key] = _text(row[key], path, number, key)
        yield number, row


def _table(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """A table's rows, those of a ranked list as one, with the number of its first."""
    rows = tables.read_rows(path, (*KEYS, "chosen", "rejected", "text", "rank"))
    if rows and not {"chosen", "rejected"} <= rows[0].keys() and not {"text", "rank"} <= rows[0].keys():
        raise InputError("columns are missing", file=path, remedy="Give chosen and rejected, or text and rank")
    lists: dict[tuple, tuple[int, dict[float, list[str | None]]]] = {}
    for number, row in enumerate(rows, start=1):
        if "rank" not in row:
            yield number, row
            continue
        _, tiers = lists.setdefault(tuple(row.get(key) for key in KEYS), (number, {}))
        tiers.setdefault(_rank(row["rank"], path, number), []).append(row["text"])
    for keys, (number, tiers) in lists.items():
        yield number, dict(zip(KEYS, keys, strict=True)) | {"ranked": [tiers[rank] for rank in sorted(tiers)]}


def _rank(value: str | None, path: Path, row: int) -> float:
    try:
        rank = float(value or "")
    except ValueError:
        rank = math.nan
    if not math.isfinite(rank):
        raise InputError("is not a rank", file=path, row=row, field="rank", value=value,
                         remedy="Give a number, 1 for the best")  # fmt: skip
    return rank


def _preferences(line: dict[str, Any], path: Path, row: int) -> list[tuple[str, str]]:
    """The (chosen, rejected) of one line."""
    given = [key for key in ("chosen", "rejected", "ranked") if key in line]
    if given == ["chosen", "rejected"]:
        chosen, rejected = (_text(line[key], path, row, key) for key in given)
        if chosen == rejected:
            raise InputError("is the same as 'chosen'", file=path, row=row, field="rejected", value=rejected,
                             remedy="Leave out what nobody preferred")  # fmt: skip
        return [(chosen, rejected)]
    if given != ["ranked"]:
        raise InputError(f"has {' and '.join(given) or 'neither form'}", file=path, row=row,
                         remedy="Give 'chosen' and 'rejected', or 'ranked' alone")  # fmt: skip
    return _ranked(line["ranked"], path, row)


def _ranked(ranked: object, path: Path, row: int) -> list[tuple[str, str]]:
    def refuse(problem: str, value: object, remedy: str) -> InputError:
        return InputError(problem, file=path, row=row, field="ranked", value=value, remedy=remedy)

    if not isinstance(ranked, list):
        raise refuse("is not a list", ranked, "Give the outputs, best first")
    tiers = [[_text(text, path, row, "ranked") for text in (t if isinstance(t, list) else [t])] for t in ranked]
    texts = [text for tier in tiers for text in tier]
    if not 2 <= len(texts) <= LONGEST:
        raise refuse(f"has {len(texts)} outputs", ranked, f"Rank 2 to {LONGEST} outputs of one context")
    twice = next((text for text in texts if texts.count(text) > 1), None)
    if twice is not None:
        raise refuse("has an output twice", twice, "Rank each output once")
    pairs = [(a, b) for better, worse in combinations(tiers, 2) for a in better for b in worse]
    if not pairs:
        raise refuse("says nothing: all outputs tie", ranked, "Leave the line out")
    return pairs


def _text(value: object, path: Path, row: int, field: str) -> str:
    if not isinstance(value, str):
        raise InputError("is not text", file=path, row=row, field=field, value="null" if value is None else value,
                         remedy="Give text in quotes")  # fmt: skip
    return clean(value)


def _group_of(prompt: str | None, row: int) -> str:
    """A group for a line that names none."""
    return f"prompt {hashlib.sha256(prompt.encode()).hexdigest()[:16]}" if prompt else f"line {row}"
