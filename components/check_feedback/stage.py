from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl

from components.check_feedback.config import Config
from components.check_feedback.enough import enough
from memozy import records
from memozy.drift import Drift, rating_drift, text_drift
from memozy.stages import Result


class Known(NamedTuple):
    """What an earlier run was trained on: RATINGS, the ids of diaries with a surrogate, and the texts {diary_id, text} of
    both."""

    ratings: pl.DataFrame
    reacted: pl.Series
    texts: pl.DataFrame


def run(config: Config) -> Result:
    """Look at the ratings and at what users did that are not in `config.known`; metric `enough` is 1 or 0.

    Rows that import_ratings would set aside don't count, nor do reactions to what auto_rate has no text of. Drift is
    measured against `config.known`: of ratings, and of texts where it is a `validated` folder.
    """
    known = _known(config)
    ratings, diaries = _new_ratings(config, known)
    values, drafts = _new_reactions(known, diaries) if config.store else ([], [])
    levels = Counter(ratings["rating"]) + Counter(values)
    texts = diaries.join(known.texts, on="diary_id", how="anti")["text"].to_list() + drafts
    drifts = list(_drifts(config, known, ratings, texts)) if config.drift else []
    answer, reason = enough(
        ratings.height, len(values), levels, drifts,
        min_new=config.min_new, min_per_class=config.min_per_class, most=config.drift,
    )  # fmt: skip
    print(f"{'enough' if answer else 'not enough'}: {reason}", flush=True)
    return Result(metrics={
        "n_new": ratings.height + len(values),
        "n_new_ratings": ratings.height,
        "n_new_reactions": len(values),
        "n_known": known.ratings.height,
        **{f"drift_{d.of.split()[0]}": d.divergence for d in drifts},
        "enough": int(answer),
    })  # fmt: skip


def _known(config: Config) -> Known:
    ratings, diaries, surrogates = (
        pl.DataFrame(schema=s.dtypes) for s in (records.RATINGS, records.DIARIES, records.SURROGATES)
    )
    if config.known is not None:
        path = Path(config.known)
        if path.is_dir():
            diaries = records.read(path / "diaries.parquet", records.DIARIES)
            if (path / "surrogates.parquet").is_file():  # which runs had not before there were surrogates
                surrogates = records.read(path / "surrogates.parquet", records.SURROGATES)
                drafts = records.read(path / "surrogate_diaries.parquet", records.DIARIES)
                diaries = pl.concat([diaries, drafts]).unique("diary_id", keep="first", maintain_order=True)
            path = path / "ratings.parquet"
        ratings = records.read(path, records.RATINGS)
    return Known(ratings, surrogates["diary_id"], diaries.select("diary_id", "text"))


def _new_ratings(config: Config, known: Known) -> tuple[pl.DataFrame, pl.DataFrame]:
    """RATINGS that are not known, and the DIARIES that came with them."""
    if config.ratings is None:
        return pl.DataFrame(schema=records.RATINGS.dtypes), pl.DataFrame(schema=records.DIARIES.dtypes)
    from memozy import rating_files

    found = rating_files.read(config.ratings, scale=config.scale, allowed_hosts=config.allowed_hosts)
    new = found.ratings.join(known.ratings, on=records.RATINGS.key, how="anti")
    return new, found.diaries.join(new, on="diary_id", how="semi")


def _new_reactions(known: Known, diaries: pl.DataFrame) -> tuple[list[float], list[str]]:
    """What each showing with a reaction is worth, and the text it showed, where the earlier run had no surrogate of it.

    auto_rate names a surrogate by the diary that the showing names, or else by the showing, and leaves out what has no
    text: neither in the log nor with the rated diary, here one of `known` or of the new `diaries`.
    """
    from memozy.feedback import open_store, outcomes, reactions

    with open_store() as store:
        events = store.log()
    texts = pl.concat([known.texts, diaries.select("diary_id", "text")]).unique("diary_id", keep="first")
    used = pl.any_horizontal(
        pl.col(name).is_in(known.reacted.implode()).fill_null(False) for name in ("diary_id", "shown_id")
    )
    bare = pl.col("draft").fill_null("").str.strip_chars() == ""
    rows = reactions(events).filter(pl.col("kind") != "shown", ~used)
    rows = rows.join(texts, on="diary_id", how="left", maintain_order="left")
    rows = rows.with_columns(draft=pl.when(bare).then("text").otherwise("draft")).drop_nulls("draft")
    rows = rows.join(outcomes(events).select("shown_id", "value"), on="shown_id", maintain_order="left")
    return rows["value"].to_list(), rows["draft"].to_list()


def _drifts(config: Config, known: Known, ratings: pl.DataFrame, texts: list[str]) -> Iterator[Drift]:
    """What there is enough of to look at."""
    of_ratings = rating_drift(known.ratings, ratings, least=config.min_for_drift)
    if of_ratings is not None:
        yield of_ratings
    if len(texts) >= config.min_for_drift:
        yield from text_drift(known.texts["text"], texts)
