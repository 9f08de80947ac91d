from pathlib import Path

from components.check_feedback.config import Config
from components.check_feedback.enough import enough, new_ratings
from memozy import records, tables
from memozy.stages import Result


def run(config: Config) -> Result:
    """Count the ratings in `config.ratings` that are not in `config.known`; metric `enough` is 1 or 0.

    Rows that import_ratings would set aside for their rating or id don't count.
    """
    rows = tables.read_ratings(config.ratings)
    known: set[tuple[str, str]] = set()
    if config.known is not None:
        path = Path(config.known)
        earlier = records.read(path / "ratings.parquet" if path.is_dir() else path, records.RATINGS)
        known = set(earlier.select("diary_id", "rater_id").iter_rows())
    new = new_ratings(rows, known)
    answer, reason = enough(new.values(), config.min_new, config.min_per_class)
    print(f"{'enough' if answer else 'not enough'}: {reason}", flush=True)
    return Result(metrics={"n_new": len(new), "n_known": len(known), "enough": int(answer)})
