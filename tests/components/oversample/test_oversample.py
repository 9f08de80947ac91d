import tempfile
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from components.oversample.config import Config
from components.oversample.stage import run
from memozy import records
from tests.pages import Page


def oversample(rows, **config):
    frame = pl.DataFrame(
        [
            {
                "diary_id": f"d{i}",
                "group_id": f"g{i}",
                "context_id": f"g{i}",
                "text": "글",
                "rating": r,
                "n_raters": int(not surrogate),
                "split": s,
                "surrogate": bool(surrogate),
            }
            for i, (r, s, *surrogate) in enumerate(rows)
        ],
        schema=records.RATED.dtypes,
    )
    with tempfile.TemporaryDirectory() as scratch:
        rated, out = Path(scratch) / "rated", Path(scratch) / "oversampled"
        records.write(frame, rated, records.RATED)
        page = Path(scratch) / "page.html"
        metrics = run(Config(**config), rated=rated, oversampled=out, oversample_report=page).metrics
        return frame, records.read(out, records.OVERSAMPLED), metrics | {"page": page.read_text("utf-8")}


def test_training_rows_are_levelled_and_counted():
    rows = [(0.5, "train")] * 6 + [(-1.0, "train")] * 2 + [(-1.0, "test")] * 5
    _, out, metrics = oversample(rows)
    assert out["copies"].to_list() == [1] * 6 + [3] * 2 + [1] * 5
    page = Page(metrics.pop("page"))
    assert metrics == {"n_train": 8, "n_counted": 12, "n_counted_-1": 6, "n_counted_0.5": 6}
    assert page.row("-1") == ["2", "6", "0", "5"] and page.row("all") == ["8", "12", "0", "5"]
    assert page.labels()[0].endswith("before and after. -1: 2 to 6; -0.5: 0 to 0; 0: 0 to 0; +0.5: 6 to 6; +1: 0 to 0.")
    assert not page.all("script") and "http" not in page.html.replace("http-equiv", "")
    assert set(oversample(rows, strategy="none")[1]["copies"]) == {1}


def test_weights_are_exact_and_surrogates_count_once():
    rows = [(0.5, "train")] * 5 + [(-1.0, "train")] * 2 + [(-0.9, "train", True), (0.5, "train", True)]
    _, out, metrics = oversample(rows, strategy="weights")
    assert out["copies"].to_list() == [1] * 5 + [2.5] * 2 + [1, 1]  # people's rows are balanced among themselves
    assert (metrics["n_train"], metrics["n_counted"], metrics["n_counted_-1"]) == (9, 12, 6)
    assert "Surrogates are not balanced" in metrics["page"]


@settings(max_examples=8, deadline=None)
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
