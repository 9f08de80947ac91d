import tempfile
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from components.oversample.config import Config
from components.oversample.stage import run
from memozy import records


def oversample(rows, **config):
    frame = pl.DataFrame(
        [
            {"diary_id": f"d{i}", "group_id": f"g{i}", "context_id": f"g{i}", "text": "글", "rating": r, "n_raters": 1,
             "split": s}
            for i, (r, s) in enumerate(rows)
        ],
        schema=records.RATED.dtypes,
    )
    with tempfile.TemporaryDirectory() as scratch:
        rated, out = Path(scratch) / "rated", Path(scratch) / "oversampled"
        records.write(frame, rated, records.RATED)
        metrics = run(Config(**config), rated=rated, oversampled=out).metrics
        return frame, records.read(out, records.OVERSAMPLED), metrics


def test_training_rows_are_levelled_and_counted():
    rows = [(0.5, "train")] * 6 + [(-1.0, "train")] * 2 + [(-1.0, "test")] * 5
    _, out, metrics = oversample(rows)
    assert out["copies"].to_list() == [1] * 6 + [3] * 2 + [1] * 5
    assert metrics == {"n_train": 8, "n_counted": 12, "n_counted_-1": 6, "n_counted_0.5": 6}
    assert set(oversample(rows, strategy="none")[1]["copies"]) == {1}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-1, 1), st.sampled_from(["train", "test"])), min_size=1, max_size=40))
def test_test_rows_are_untouched_and_do_not_count(rows):
    frame, out, metrics = oversample(rows)
    assert out.drop("copies").equals(frame)
    assert set(out.filter(pl.col("split") == "test")["copies"]) <= {1}
    assert out["copies"].is_between(1, 4).all()
    train = out.filter(pl.col("split") == "train")
    assert metrics["n_counted"] == train["copies"].sum()
    alone = oversample([row for row in rows if row[1] == "train"])[1] if train.height else train
    assert alone["copies"].to_list() == train["copies"].to_list()
