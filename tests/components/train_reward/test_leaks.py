"""Planted leaks are refused, and what they would have faked is measured: on simulated diaries and on real ones."""

import os
import random
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge

from components.oversample.copies import copies
from components.train_reward import leaks
from components.train_reward.leaks import refuse_leaks
from memozy import records
from memozy.records import InputError
from memozy.texts import near_pairs, normalise
from microworld.contexts import sample_contexts
from microworld.instructions import sample_instructions
from microworld.raters import PANEL
from microworld.writer import write_diary

SHARED = Path(os.environ.get("MEMOZY_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))


def rows_of(diaries) -> pl.DataFrame:
    """OVERSAMPLED rows from (photo, text, rating): a group a photo, every fifth photo for the test."""
    photos = {photo: n for n, photo in enumerate(dict.fromkeys(photo for photo, _, _ in diaries))}
    return pl.DataFrame(
        [
            {"diary_id": f"d{n:04d}", "group_id": photo, "context_id": photo, "text": text, "rating": rating,
             "n_raters": 1, "split": "test" if photos[photo] % 5 == 0 else "train", "copies": 1}
            for n, (photo, text, rating) in enumerate(diaries)
        ],
        schema=records.OVERSAMPLED.dtypes,
    )  # fmt: skip


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    rng = random.Random(5)
    diaries = []
    for n, context in enumerate(sample_contexts(60, seed=5)):
        for i in range(4):
            text = write_diary(sample_instructions(rng, 0.7, 0.1), context, rng)  # most are liked, as in use
            diaries.append((f"c{n:02d}", text, rng.choice(PANEL).rate(text, context, str(i))))
    return rows_of(diaries)


def figures(error) -> tuple[float, float]:
    """With the leak, and without it."""
    return tuple(map(float, re.search(r"MSE of (\d\.\d+); without the leak it is (\d\.\d+)", str(error.value)).groups()))


def as_a_ridge_says(train: pl.DataFrame, test: pl.DataFrame, weights=None) -> float:
    grams = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True).fit(train["text"].to_list())
    ridge = Ridge(alpha=0.3).fit(grams.transform(train["text"].to_list()), train["rating"])
    said = ridge.predict(grams.transform(test["text"].to_list())).clip(-1, 1)
    return float(np.average((said - test["rating"].to_numpy()) ** 2, weights=weights))


def times(frame: pl.DataFrame) -> np.ndarray:
    return copies(frame["rating"].to_numpy(), 6, whole=True).astype(int)


def held_out_by_photo(frame: pl.DataFrame) -> float:
    """The honest error: each photo asked, once a row, of a ridge that never saw it; rare rows of the fitted copied."""
    errors = []
    for fold in range(5):
        asked = frame["context_id"].rank("dense") % 5 == fold
        fitted = frame.filter(~asked)
        fitted = fitted[np.repeat(np.arange(len(fitted)), times(fitted))]
        errors.append(as_a_ridge_says(fitted, frame.filter(asked)))
    return float(np.mean(errors))


def copied_first(frame: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """The mistake: rare rows are copied, and then rows are drawn for the test."""
    rows = frame[np.repeat(np.arange(len(frame)), times(frame))]
    drawn = np.random.default_rng(seed).choice(["train", "test"], len(rows), p=[0.8, 0.2])
    return rows.with_columns(split=pl.Series(drawn))


def swap(frame: pl.DataFrame, row: int, **values) -> pl.DataFrame:
    """The rows with values of one of them changed."""
    at = pl.int_range(pl.len()) == row
    return frame.with_columns(
        pl.when(at).then(pl.lit(value, frame.schema[name])).otherwise(name).alias(name) for name, value in values.items()
    )


def test_rows_that_keep_apart_pass(frame):
    refuse_leaks(frame, "rows")
    refuse_leaks(frame.with_columns(copies=pl.when(split="train").then(4).otherwise(1)), "rows")
    refuse_leaks(swap(frame, 5, text=frame["text"][4]), "rows")  # one photo's diaries may be alike
    refuse_leaks(frame.clear(), "rows")


ALIKE = "오늘은 아주 오래전에 함께 살던 동네를 혼자 천천히 걸어 다니며 옛날 생각을 많이 했고 마음이 따뜻해졌다. 또 오고 싶다"


def test_diaries_of_one_kind_are_no_copies(frame):
    kin = ALIKE.replace("혼자", "함께")
    assert len(near_pairs([normalise(ALIKE), normalise(kin)], 0.85)) == 1
    refuse_leaks(swap(swap(frame, 4, text=ALIKE), 8, text=kin), "rows")


OTHER = {"text": "다른 글"}


@pytest.mark.parametrize(
    ("values", "link", "n_linked"),
    [
        ({}, "hold the same text", 8),
        ({"text": ALIKE.replace(" ", "  ") + "!!"}, "hold the same text", 8),
        ({"text": ALIKE + "고"}, "hold nearly the same text", 8),
        (OTHER | {"context_id": "c01"}, "are of one photo", 8),
        (OTHER | {"image_id": "c01"}, "are of one photo", 8),
        (OTHER | {"context_id": "c01", "image_id": "p"}, "are of one context", 8),
        (OTHER | {"context_id": "c99", "group_id": "c01", "split": "test"}, "stand in one group", 5),
        (OTHER | {"diary_id": "d0004"}, "are one diary", 8),
    ],
    ids=["text", "signs", "near", "context", "photo", "context of two photos", "group", "diary"],
)
def test_each_link_is_named_with_its_rows(frame, values, link, n_linked):
    # rows 4 and 8 are the first of photos c01 and c02, both to train on, four diaries each
    planted = swap(swap(frame, 4, text=ALIKE), 8, **{"text": ALIKE, **values})
    one, other = "diary 'd0004' (train, group 'c01')", planted.row(8, named=True)
    said = f"{one} and diary '{other['diary_id']}' ({other['split']}, group '{other['group_id']}') {link}; "
    with pytest.raises(InputError) as error:
        refuse_leaks(planted, "rows.parquet")
    assert str(error.value).startswith("rows.parquet: " + said)
    assert f"; {n_linked} of 240 rows are linked across groups or splits. A ridge on characters" in str(error.value)
    assert "split_data" in str(error.value)


def test_copying_before_splitting_is_refused_with_what_it_fakes(frame, tmp_path):
    rows = copied_first(frame)
    rows.write_parquet(tmp_path / "oversampled")
    with pytest.raises(InputError, match="oversampled: diary .* are one diary") as error:
        leaks.read(tmp_path / "oversampled")
    faked, honest = figures(error)
    assert faked == pytest.approx(as_a_ridge_says(rows.filter(split="train"), rows.filter(split="test")), abs=6e-4)
    assert honest == pytest.approx(held_out_by_photo(frame), rel=0.1)
    assert faked < honest / 2


def test_copies_under_new_names_fake_a_cross_validation(frame):
    rows = copied_first(frame).with_columns(split=pl.lit("train")).with_row_index("n")
    rows = rows.with_columns(
        [pl.format(name + "{}", "n").alias(f"{name}_id") for name in ("diary", "group", "context")]
    ).drop("n")
    with pytest.raises(InputError, match="hold the same text") as error:
        refuse_leaks(rows, "rows")
    faked, honest = figures(error)
    assert "cross-validated MSE" in str(error.value)
    assert honest == pytest.approx(held_out_by_photo(frame), rel=0.1)  # here without photos: nothing else links rows
    assert faked < honest / 2


def test_a_test_row_counts_once(frame):
    rows = frame.with_columns(copies=pl.Series(times(frame)))
    with pytest.raises(InputError, match=r"diary 'd\d+' of the test split counts \d times; \d+ test rows") as error:
        refuse_leaks(rows, "rows")
    train, test = rows.filter(split="train"), rows.filter(split="test")
    loud, plain = figures(error)
    assert loud == pytest.approx(as_a_ridge_says(train, test, test["copies"].to_numpy()), abs=6e-4)
    assert plain == pytest.approx(as_a_ridge_says(train, test), abs=6e-4)


def test_what_cannot_be_measured_is_not_made_up(frame):
    with pytest.raises(InputError, match="too few rows are left to say what it fakes"):
        refuse_leaks(frame.with_columns(text=pl.lit(ALIKE)), "rows")


def test_a_figure_from_a_part_of_the_rows_says_so(frame, monkeypatch):
    monkeypatch.setattr(leaks, "MEASURED", 100)
    with pytest.raises(InputError, match=r"without the leak it is [\d.]+ \(measured on 100 rows\)"):
        refuse_leaks(copied_first(frame), "rows")


def test_reading_refuses_what_the_schema_refuses(frame, tmp_path):
    records.write(frame, tmp_path / "good", records.OVERSAMPLED)
    assert leaks.read(tmp_path / "good").equals(frame)
    for name, bad, said in (
        ("twice", pl.concat([frame, frame[:1]]), "value 'd0000': stands more than once"),
        ("bare", frame.drop("context_id"), "field 'context_id': column is missing"),
    ):
        bad.write_parquet(tmp_path / name)
        with pytest.raises(InputError, match=said):
            leaks.read(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"diary_id,text\nd0,hello\n", b"PAR1 and no more"], ids=["empty", "csv", "cut off"])
def test_a_file_that_is_no_parquet_is_named(tmp_path, content):
    (tmp_path / "rows").write_bytes(content)
    with pytest.raises(InputError, match=r"rows: is no Parquet file\. Give what oversample wrote"):
        leaks.read(tmp_path / "rows")


@pytest.mark.skipif(not (SHARED / "rated_diaries.jsonl").is_file(), reason="no rated diaries here: set MEMOZY_SHARED_DATA")
def test_the_first_teams_mistake_on_their_diaries():
    diaries = pl.read_ndjson(SHARED / "rated_diaries.jsonl").select("image_id", "text", "rating").rows()
    frame = rows_of(diaries)
    refuse_leaks(frame, "rows")
    with pytest.raises(InputError) as error:
        refuse_leaks(copied_first(frame), "rows")
    faked, honest = figures(error)
    assert faked < 0.13
    assert 0.22 < honest < 0.36
