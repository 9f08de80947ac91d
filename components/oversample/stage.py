import polars as pl

from components.oversample.config import Config
from components.oversample.copies import copies
from memozy import records
from memozy.stages import In, Out, Result


def run(config: Config, *, rated: In, oversampled: Out) -> Result:
    """Add `copies` to every row: 1 on test rows, more on training rows of rare ratings.

    Nothing is copied here: a trainer expands the rows, inside its own folds.
    """
    rows = records.read(rated, records.RATED)
    train = rows.filter(pl.col("split") == "train")
    counts = [1] * train.height
    if config.strategy == "duplicate":
        counts = copies(train["rating"].to_list(), config.max_copies)
    by_id = dict(zip(train["diary_id"], counts, strict=True))
    out = rows.with_columns(copies=pl.Series([by_id.get(diary, 1) for diary in rows["diary_id"]], dtype=pl.Int64))
    records.write(out, oversampled, records.OVERSAMPLED)
    shares: dict[str, int] = {}
    for rating, n in zip(train["rating"], counts, strict=True):
        name = f"n_counted_{records.nearest_level(rating):g}"
        shares[name] = shares.get(name, 0) + n
    return Result(metrics={"n_train": train.height, "n_counted": sum(counts), **dict(sorted(shares.items()))})
