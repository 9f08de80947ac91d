import json
import random
import re
from pathlib import Path

import polars as pl
import pytest

from components.validate_data import measures
from memozy import records, stages, versions
from memozy.records import SIMULATED, InputError
from tests.components.validate_data.tables import diaries_of, ratings_of, surrogates_of
from tests.pages import EVIL, Page

PHONE = "전화는 010-1234-5678이다"


@pytest.fixture
def make(tmp_path):
    """Writes n rated diaries, changed by `change`, in a seeded order, and surrogates; returns the stage's inputs."""

    def write(n=30, source="a.csv", change=lambda ratings, diaries: None, order=0, surrogates=(), drafts=(), more=()):
        diaries = diaries_of([f"{i}번째 날은 조용했다" for i in range(n)]).to_dicts()
        ratings = ratings_of([(-1.0, 0.5, 1.0)[i % 3] for i in range(n)], source=source).to_dicts() + list(more)
        change(ratings, diaries)
        folder = tmp_path / f"in-{order}"
        (folder / "surrogates").mkdir(parents=True, exist_ok=True)
        for name, rows, schema in (("ratings", ratings, records.RATINGS), ("diaries", diaries, records.DIARIES)):
            columns = schema.dtypes if rows else {}
            frame = pl.DataFrame(rows, schema=columns).sample(fraction=1, shuffle=order > 0, seed=order)
            frame.write_parquet(folder / name)
        surrogates_of(list(surrogates)).write_parquet(folder / "surrogates" / "surrogates.parquet")
        diaries_of(list(drafts), "s").write_parquet(folder / "surrogates" / "diaries.parquet")
        return {"ratings": str(folder / "ratings"), "rated_diaries": str(folder / "diaries"),
                "surrogates": str(folder / "surrogates")}  # fmt: skip

    return write


@pytest.fixture
def outs(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMOZY_RUN_DIR", str(tmp_path / "run"))
    return {name: str(tmp_path / "out" / name) for name in ("validated", "version", "checks", "validation")}


def read(outs, name):
    return json.loads(Path(outs[name]).read_text(encoding="utf-8"))


def page(outs):
    return Page(Path(outs["validation"]).read_text(encoding="utf-8"))


def test_what_passed_is_pinned_and_can_be_fetched(make, outs, tmp_path):
    remote = str(tmp_path / "remote")
    result = stages.execute(
        "validate_data", {"remote": remote}, make(surrogates=[0.3, -0.5], drafts=["비가 왔다", "눈이 왔다"]), outs
    )
    pinned = read(outs, "version")
    assert re.fullmatch(r"[0-9a-f]{32}\.dir", pinned.pop("version"))
    assert pinned == {
        "n_ratings": 30, "n_diaries": 30, "n_surrogates": 2, "simulated": False,
        "classes": {"-1": 10, "-0.5": 0, "0": 0, "0.5": 10, "1": 10},
    }  # fmt: skip
    assert (result.metrics["n_rated_0.5"], result.metrics["n_surrogates"]) == (10, 2)
    versions.pull(read(outs, "version")["version"], remote, tmp_path / "back")
    schemas = {"ratings": records.RATINGS, "diaries": records.DIARIES, "surrogates": records.SURROGATES,
               "surrogate_diaries": records.DIARIES}  # fmt: skip
    assert {path.stem for path in Path(outs["validated"]).iterdir()} == set(schemas)
    for name, schema in schemas.items():
        kept = records.read(Path(outs["validated"]) / f"{name}.parquet", schema)
        assert kept.height == (2 if "surrogate" in name else 30)
        assert records.read(tmp_path / "back" / f"{name}.parquet", schema).equals(kept)


def test_the_same_records_are_the_same_version(make, outs):
    stages.execute("validate_data", {}, make(), outs)
    first, found = read(outs, "version"), read(outs, "checks")
    stages.execute("validate_data", {}, make(order=7), outs)
    assert read(outs, "version") == first
    assert read(outs, "checks")["raters"] == found["raters"]
    stages.execute("validate_data", {}, make(change=lambda r, d: r[4].update(rating=0.0)), outs)
    assert read(outs, "version")["version"] != first["version"]


def test_simulated_ratings_say_so(make, outs):
    stages.execute("validate_data", {}, make(source=SIMULATED), outs)
    assert read(outs, "version")["simulated"] is True
    assert "Simulated." in page(outs).text


def test_text_on_the_page_is_text_and_the_page_asks_nobody(make, outs):
    def change(ratings, diaries):
        diaries[3].update(text=EVIL)
        diaries[4].update(text=EVIL)
        ratings[5].update(rater_id=EVIL)

    stages.execute("validate_data", {}, make(change=change), outs)
    shown = page(outs)
    shown.check_inert()
    shown.check_self_contained()
    assert "Simulated." not in shown.text
    # 30 texts, two of them hardly Korean: the rule passed. Both stand below, for this rule and, by two, as each other's copy
    [row] = [cells for cells in shown.rows if cells[:1] == ["diaries"] and "Hangul" in cells[1]]
    assert row[2:] == ["30", "2", "passed"]
    assert sum(EVIL in cells for cells in shown.rows) == 2 + 2 * 2 + 1  # the last is the rater's row
    assert "Lengths of texts: 11 to 62 characters." in shown.labels()
    assert "1 pair among 30 texts" in shown.text and "were drawn" not in shown.text


def test_the_page_says_among_how_many_texts_copies_were_looked_for(make, outs, monkeypatch):
    monkeypatch.setattr(measures, "LOOKED_AT", 20)

    def change(ratings, diaries):
        for n, diary in enumerate(diaries[:6]):
            diary.update(text="집에서 쉬었다" + "." * n)

    stages.execute("validate_data", {}, make(change=change), outs)
    told = "Equal texts were looked for among all, nearly equal ones among 20 that were drawn"
    assert "5 pairs among 30 texts" in page(outs).text and told in page(outs).text
    by_rule = {rule["rule"]: (rule["checked"], rule["broken"]) for rule in read(outs, "checks")["rules"]}
    words = "at most 50% of the texts are another diary's"
    assert by_rule[words] == (30, 6) and by_rule[f"{words}, or nearly"][0] == 20
    assert read(outs, "checks")["near_duplicates"]["compared"] == 20


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r, d: r[2].update(rating=0.7),
         "ratings, row 3, field 'rating', value '0.7': breaks the rule 'rating is one of -1, -0.5, 0, 0.5, 1' (1 of 30 rows: 3 d2+a)"),
        (lambda r, d: [x.update(text="") for x in d[3:12]],
         "row 4, field 'text', value '': breaks the rule 'text is more than white space' "
         "(9 of 30 rows: 4 d3, 5 d4, 6 d5, 7 d6, 8 d7, …) and 2 more"),
        (lambda r, d: (r.clear(), d.clear()),
         "columns, field 'column', value 'diary_id': breaks the rule 'every column is there' (11 of 22 rows: diaries+diary_id, "),
        (lambda r, d: (r.__delitem__(slice(5, 30)), d.__delitem__(slice(5, 30))),
         "diaries, value 5: breaks the rule 'at least 20 diaries'. Mend or add records, or change validate_data.min_diaries; all"),
        (lambda r, d: d[7].update(text="길다" * 90_000 + PHONE), "row 8, field 'text', value '길다길다"),
        (lambda r, d: d[7].update(text=PHONE),
         "diaries, row 8, field 'text', value '전화는 [전화번호]이다': breaks the rule 'no text holds personal data' (1 of 30 rows: 8 d7)"),
    ],
)  # fmt: skip
def test_a_broken_rule_stops_the_run_and_leaves_only_what_was_found(make, outs, change, said):
    with pytest.raises(InputError) as error:
        stages.execute("validate_data", {}, make(change=change), outs)
    line = str(error.value)
    assert said in line and "\n" not in line and "010-1234" not in line
    assert not any(Path(out).exists() for out in outs.values())
    left = Path(re.search(r"all of it is in (\S+)$", line)[1])
    shown, found = (
        Page(left.read_text(encoding="utf-8")),
        json.loads(left.with_name("checks.json").read_text(encoding="utf-8")),
    )
    assert "nothing was pinned" in shown.text and "010-1234" not in shown.text and len(shown.html) < 100_000
    broken = [rule for rule in found["rules"] if not rule["passed"]]
    assert not found["passed"] and found["version"] is None and broken
    for row in broken[0]["rows"][:2]:
        assert row["id"] in line and any(row["id"] in cells for cells in shown.rows)


def test_what_was_found_stays_also_where_there_is_no_run(make, outs, tmp_path, monkeypatch):
    monkeypatch.delenv("MEMOZY_RUN_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(InputError) as error:
        stages.execute(
            "validate_data", {}, make(change=lambda r, d: d[0].update(text="", diary_id="d\n" + "0" * 99)), outs
        )
    line = str(error.value)
    assert "\n" not in line and "1 d 000" in line and len(line) < 700
    assert Path(re.search(r"all of it is in (\S+)$", line)[1]).is_file()


def test_masked_texts_go_on_and_are_pinned_without_the_number(make, outs):
    inputs = make(change=lambda r, d: d[7].update(text=PHONE), surrogates=[0.3], drafts=["내 메일은 me@x.com이다"])
    stages.execute("validate_data", {"personal_data": "mask"}, inputs, outs)
    kept = pl.read_parquet(Path(outs["validated"]) / "diaries.parquet")
    assert kept.filter(diary_id="d7")["text"].to_list() == ["전화는 [전화번호]이다"]
    assert pl.read_parquet(Path(outs["validated"]) / "surrogate_diaries.parquet")["text"].to_list() == [
        "내 메일은 [이메일]이다"
    ]
    assert read(outs, "checks")["personal_data"] == [
        {"table": "diaries", "kind": "phone number", "n": 1, "rows": [8]},
        {"table": "surrogate diaries", "kind": "e-mail address", "n": 1, "rows": [1]},
    ]
    assert "It was masked" in page(outs).text
    stages.execute("validate_data", {"personal_data": "allow"}, inputs, outs)
    assert PHONE in pl.read_parquet(Path(outs["validated"]) / "diaries.parquet")["text"].to_list()
    assert "010-1234" not in page(outs).text


def many(at_random=()):
    """Five raters more, who rate what the diary is worth and scatter by half a level; those named scatter over all levels."""
    rng = random.Random(0)
    rows = []
    for rater in "bcdef":
        for i in range(30):
            worth = (-1.0, 0.5, 1.0)[i % 3] + rng.choice((-0.5, 0, 0, 0.5))
            level = rng.choice(records.RATING_LEVELS) if rater in at_random else max(-1.0, min(1.0, worth))
            rows.append({"diary_id": f"d{i}", "rater_id": rater, "rating": level, "source": "a.csv", "rated_at": "x"})
    return rows


def test_raters_are_told_on_the_page_and_one_at_random_is_named(make, outs):
    result = stages.execute("validate_data", {}, make(more=many(at_random="e")), outs)
    panel = read(outs, "checks")["raters"]
    assert [rater["name"] for rater in panel["raters"] if rater["at_random"]] == ["e"]
    assert (panel["n_raters"], panel["n_twice"], result.metrics["n_random_raters"]) == (6, 30, 1)
    low, high = panel["interval"]
    assert low < panel["alpha"] < high and panel["alpha"] == result.metrics["alpha"]
    shown = page(outs)
    assert "As if they did not read: e." in shown.text
    assert shown.row("e")[0] == "30" and shown.row("e")[-1] == "at random"
    with pytest.raises(InputError) as error:
        stages.execute("validate_data", {"random_raters": "stop"}, make(more=many(at_random="e")), outs)
    assert "raters, field 'rater_id', value 'e': breaks the rule 'no rater answers at random' (1 of 6 rows: e)" in str(
        error.value
    )


def test_a_later_version_is_compared_with_the_last(make, outs, tmp_path):
    stages.execute("validate_data", {}, make(200), outs)
    last = tmp_path / "last"
    Path(outs["validated"]).rename(last)
    grown = make(260, change=lambda r, d: [x.update(rating=-0.5) for x in r[200:]])
    result = stages.execute("validate_data", {"previous": str(last), "max_drift": 1.0}, grown, outs)
    # before a third each of -1, 0.5 and 1, now all -0.5: nothing in common
    assert result.metrics["drift_ratings"] == pytest.approx(1.0)
    assert {drift["of"] for drift in read(outs, "checks")["drift"]} == {
        "ratings",
        "lengths in characters",
        "characters",
    }
    assert "1.000 bits apart" in page(outs).text
    with pytest.raises(
        InputError, match=r"drift, field 'divergence', value '1.0': breaks the rule 'what is new differs"
    ):
        stages.execute("validate_data", {"previous": str(last)}, grown, outs)
    with pytest.raises(InputError, match=r"nowhere/ratings.parquet: no such file"):
        stages.execute("validate_data", {"previous": str(tmp_path / "nowhere")}, grown, outs)


def test_a_file_that_is_no_parquet_or_not_there_is_named(make, outs):
    inputs = make()
    Path(inputs["ratings"]).write_text("hello")
    with pytest.raises(InputError, match="ratings: is not a Parquet file"):
        stages.execute("validate_data", {}, inputs, outs)
    pl.DataFrame({"rating": [[1.0]]}).write_parquet(inputs["ratings"])
    with pytest.raises(InputError, match=r"ratings, field 'rating', value 'List\(Float64\)': cannot be Float64"):
        stages.execute("validate_data", {}, inputs, outs)
    inputs = make(order=1)
    (Path(inputs["surrogates"]) / "diaries.parquet").unlink()
    with pytest.raises(InputError, match="surrogates/diaries.parquet: no such file"):
        stages.execute("validate_data", {}, inputs, outs)
