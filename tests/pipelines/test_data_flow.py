"""From what people and the app produce to rows to train on, through the stages as a pipeline runs them: real files, a real
store, real stages, and every rating and reaction accounted for."""

import json
import random

import polars as pl
import pytest

from memozy import records, stages
from memozy.feedback import open_store
from microworld.contexts import sample_contexts
from microworld.instructions import sample_instructions
from microworld.raters import PANEL
from microworld.writer import write_diary

N_PHOTOS, PER_PHOTO = 30, 3
SHOWN = 40  # drafts that the app showed: of the rated diaries the first, and of photos of their own


def diary(context: dict, rng: random.Random) -> str:
    return write_diary(sample_instructions(rng, 0.5, 0.2), context, rng)


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    """The folder in which the five stages ran: ratings from a CSV file, reactions from a store."""
    place, rng = tmp_path_factory.mktemp("flow"), random.Random(0)
    contexts = sample_contexts(N_PHOTOS + SHOWN, 3)
    rows, drafts = [], []
    for n, context in enumerate(contexts[:N_PHOTOS]):
        for k in range(PER_PHOTO):
            text, rater = diary(context, rng), rng.choice(PANEL)
            rows.append({"diary_id": f"d{n:02d}-{k}", "rater_id": rater.rater_id, "image_id": context["context_id"],
                         "rating": rater.rate(text, context, str(k)), "text": text})  # fmt: skip
    drafts += [(f"d{n:02d}-0", contexts[n], rows[n * PER_PHOTO]["text"]) for n in range(20)]
    drafts += [(f"new-{n:02d}", c, diary(c, rng)) for n, c in enumerate(contexts[N_PHOTOS : N_PHOTOS + SHOWN - 20])]
    bad = {"diary_id": "d00-0", "rater_id": "x", "image_id": None, "rating": 0.7, "text": rows[0]["text"]}
    pl.DataFrame([*rows, bad]).write_csv(place / "ratings.csv")
    url = f"sqlite:///{place}/feedback.sqlite"
    with open_store(url) as store, pytest.MonkeyPatch.context() as patch:
        for n, (diary_id, context, text) in enumerate(drafts):
            about = {"diary_id": diary_id, "context_id": context["context_id"], "image_id": context["context_id"]}
            store.record(event_id=f"s{n}", shown_id=f"s{n}", kind="shown", prompt_id="A", propensity=0.5, draft=text, **about)
            store.record(event_id=f"e{n}", shown_id=f"s{n}", kind="edit", final=text if n % 2 else "전혀 다른 글을 다시 썼다.")
        patch.setenv("MEMOZY_FEEDBACK", url)
        patch.setenv("MEMOZY_RUN_DIR", str(place))  # as in a local run: nothing is tracked by the stages themselves
        for name, schema in (("diaries", records.DIARIES), ("contexts", records.CONTEXTS)):
            records.write(pl.DataFrame(schema=schema.dtypes), place / name, schema)
        at = {name: str(place / name) for name in (
            "diaries", "contexts", "ratings", "rated_diaries", "events", "import_quarantine", "surrogates", "auto_report", "validated",
            "version", "checks", "validation", "rated", "quarantine", "oversampled", "oversample_report")}  # fmt: skip

        def run(stage: str, config: dict, outputs: dict) -> dict:
            inputs = {name: at[name] for name in stages.artifacts(stage, "in")}
            return stages.execute(stage, config, inputs, outputs).metrics

        told = {"import_ratings": run(
            "import_ratings",
            {"path": str(place / "ratings.csv"), "max_quarantined": 0.05, "store": str(place / "batches")},
            {n: at[n] for n in ("ratings", "rated_diaries", "events")} | {"quarantine": at["import_quarantine"]},
        )}  # fmt: skip
        for stage, config in (("auto_rate", {"min_calibration": 20, "folds": 5}), ("validate_data", {"max_near_duplicates": 1.0}),
                              ("split_data", {"near_duplicate": 0.95}), ("oversample", {})):  # fmt: skip
            told[stage] = run(stage, config, {name: at[name] for name in stages.artifacts(stage, "out")})
    return place, told, {diary_id for diary_id, *_ in drafts if diary_id.startswith("new")}


def test_every_rating_and_every_event_is_accounted_for(flow):
    place, told, _ = flow
    taken = told["import_ratings"]
    assert (taken["n_ratings"], taken["n_quarantined"], taken["n_events"]) == (N_PHOTOS * PER_PHOTO, 1, 2 * SHOWN)
    [aside] = map(json.loads, (place / "import_quarantine").read_text(encoding="utf-8").splitlines())
    assert (aside["row"], aside["field"], aside["value"]) == (N_PHOTOS * PER_PHOTO + 1, "rating", "0.7")
    assert told["auto_rate"]["n_surrogates"] == SHOWN and told["auto_rate"]["n_calibration"] == 20
    assert len(list((place / "batches").iterdir())) == 1, "published, and read from what was published"


def test_surrogates_become_training_rows_of_diaries_that_nobody_rated_and_no_more(flow):
    place, told, unrated = flow
    rated = records.read(place / "rated", records.RATED)
    guessed, people = rated.filter("surrogate"), rated.filter(~pl.col("surrogate"))
    assert set(people["diary_id"]) == {f"d{n:02d}-{k}" for n in range(N_PHOTOS) for k in range(PER_PHOTO)}
    assert set(guessed["diary_id"]) <= unrated and guessed.height > 0
    assert (guessed["split"] == "train").all() and (guessed["n_raters"] == 0).all()
    aside = [json.loads(line) for line in (place / "quarantine").read_text(encoding="utf-8").splitlines()]
    assert {row["diary_id"] for row in aside} | set(guessed["diary_id"]) == unrated
    sides = rated.group_by("group_id").agg(pl.col("split").n_unique())
    assert (sides["split"] == 1).all()
    counted = records.read(place / "oversampled", records.OVERSAMPLED)
    assert (counted.filter("surrogate")["copies"] == 1).all() and counted["copies"].max() > 1


def test_the_version_holds_people_and_surrogates_apart(flow):
    place, _, _ = flow
    assert {p.name for p in (place / "validated").iterdir()} == {
        "ratings.parquet", "diaries.parquet", "surrogates.parquet", "surrogate_diaries.parquet"}  # fmt: skip
    ratings = records.read(place / "validated/ratings.parquet", records.RATINGS)
    assert ratings.height == N_PHOTOS * PER_PHOTO and set(ratings["source"]) == {"ratings.csv"}
    assert json.loads((place / "version").read_text(encoding="utf-8"))["version"].endswith(".dir")
