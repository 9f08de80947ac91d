from collections import Counter
from pathlib import Path

import polars as pl

from components.check_feedback.config import Config
from components.check_feedback.enough import enough
from memozy import records
from memozy.drift import Drift, class_drift, text_drift
from memozy.stages import Result

_PAIR = ["diary_id", "rater_id"]


def run(config: Config) -> Result:
    """Look at the ratings that are not in `config.known`, and at what users did; metric `enough` is 1 or 0.

    Rows that import_ratings would set aside don't count. Drift is measured against `config.known`: of ratings, and of texts
    where it is a `validated` folder.
    """
    known, known_texts = _known(config)
    ratings, diaries = _new_ratings(config, known)
    values, drafts = _reactions() if config.store else ([], [])
    levels = Counter(ratings["rating"]) + Counter(values)
    texts = diaries.join(known_texts, on="diary_id", how="anti")["text"].to_list() + drafts
    drifts = _drifts(config, known, ratings, known_texts["text"], texts)
    answer, reason = enough(
        ratings.height, len(values), levels, drifts,
        min_new=config.min_new, min_per_class=config.min_per_class, most=config.drift,
    )  # fmt: skip
    print(f"{'enough' if answer else 'not enough'}: {reason}", flush=True)
    return Result(metrics={
        "n_new": ratings.height + len(values),
        "n_new_ratings": ratings.height,
        "n_new_reactions": len(values),
        "n_known": known.height,
        **{f"drift_{d.of.split()[0]}": d.divergence for d in drifts},
        "enough": int(answer),
    })  # fmt: skip


def _known(config: Config) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Known ratings (RATINGS) and texts {diary_id, text}."""
    ratings, diaries = (pl.DataFrame(schema=schema.dtypes) for schema in (records.RATINGS, records.DIARIES))
    if config.known is not None:
        path = Path(config.known)
        if path.is_dir():
            diaries, path = records.read(path / "diaries.parquet", records.DIARIES), path / "ratings.parquet"
        ratings = records.read(path, records.RATINGS)
    return ratings, diaries.select("diary_id", "text")


def _new_ratings(config: Config, known: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """RATINGS that are not known, and the DIARIES that came with them."""
    if config.ratings is None:
        return pl.DataFrame(schema=records.RATINGS.dtypes), pl.DataFrame(schema=records.DIARIES.dtypes)
    from memozy import rating_files

    found = rating_files.read(config.ratings, scale=config.scale, allowed_hosts=config.allowed_hosts)
    new = found.ratings.join(known, on=_PAIR, how="anti")
    return new, found.diaries.join(new, on="diary_id", how="semi")


def _reactions() -> tuple[list[float], list[str]]:
    """What each text that users newly reacted to is worth, and the texts that were newly shown."""
    from memozy.feedback import open_store, outcomes

    with open_store() as store:
        events = store.unpublished()
    new = events.filter("new", pl.col("kind") != "shown")
    values = outcomes(events).join(new, on="shown_id", how="semi")["value"]
    drafts = events.filter("new", pl.col("kind") == "shown")["draft"].drop_nulls()
    return values.to_list(), drafts.to_list()


def _drifts(
    config: Config, known: pl.DataFrame, new: pl.DataFrame, known_texts: pl.Series, texts: list[str]
) -> list[Drift]:
    """What there is enough of to look at."""
    if config.drift is None:
        return []
    old_levels, levels = _levels(known), _levels(new)
    found = [class_drift(old_levels, levels)] if levels.total() >= config.min_for_drift else []
    if len(texts) >= config.min_for_drift:
        found += text_drift(known_texts, texts)
    return [drift for drift in found if drift is not None]


def _levels(ratings: pl.DataFrame) -> Counter[float]:
    """How many diaries were rated at each level, by the first who did: raters of one diary don't judge independently."""
    return Counter(ratings.unique("diary_id", keep="first", maintain_order=True)["rating"])
