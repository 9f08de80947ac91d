"""Small tables, as validate_data takes them in."""

import polars as pl

from memozy import records


def diaries_of(texts, prefix="d"):
    rows = {"diary_id": [f"{prefix}{i}" for i in range(len(texts))], "context_id": [f"{prefix}c{i}" for i in range(len(texts))],
            "image_id": [None] * len(texts), "prompt_id": ["p"] * len(texts), "generator": ["g"] * len(texts), "text": texts,
            "cost_usd": [0.0] * len(texts), "created_at": ["x"] * len(texts)}  # fmt: skip
    return pl.DataFrame(rows, schema=records.DIARIES.dtypes)


def ratings_of(levels, prefix="d", rater="a", source="a.csv"):
    rows = {"diary_id": [f"{prefix}{i}" for i in range(len(levels))], "rater_id": [rater] * len(levels), "rating": levels,
            "source": [source] * len(levels), "rated_at": ["x"] * len(levels)}  # fmt: skip
    return pl.DataFrame(rows, schema=records.RATINGS.dtypes)


def surrogates_of(ratings, prefix="s"):
    rows = {"diary_id": [f"{prefix}{i}" for i in range(len(ratings))], "rating": ratings, "signal": ["edit"] * len(ratings),
            "similarity": [0.9] * len(ratings), "method": ["rule"] * len(ratings)}  # fmt: skip
    return pl.DataFrame(rows, schema=records.SURROGATES.dtypes)


def setting(frame, column, row, value):
    values = frame[column].to_list()
    values[row] = value
    return frame.with_columns(pl.Series(column, values, strict=False))
