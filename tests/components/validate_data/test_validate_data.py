import json
import re
from pathlib import Path

import polars as pl
import pytest

from memozy import records, stages, versions
from memozy.records import SIMULATED, InputError

TAG = "<script>alert('읽지 마')</script>"


@pytest.fixture
def make(tmp_path):
    """Writes n rated diaries, changed by `change`, in a seeded order; returns the stage's inputs."""

    def write(n=30, source="a.csv", change=lambda ratings, diaries: None, order=0):
        diaries = [
            {"diary_id": f"d{i:02d}", "context_id": f"c{i}", "prompt_id": "p", "generator": "g",
             "text": f"{i}번째 날은 조용했다", "cost_usd": 0.0, "created_at": "x"}
            for i in range(n)
        ]  # fmt: skip
        ratings = [
            {
                "diary_id": d["diary_id"],
                "rater_id": "a",
                "rating": (-1.0, 0.5, 1.0)[i % 3],
                "source": source,
                "rated_at": "x",
            }
            for i, d in enumerate(diaries)
        ]
        change(ratings, diaries)
        folder = tmp_path / f"in-{order}"
        folder.mkdir(exist_ok=True)
        pl.DataFrame(ratings).sample(fraction=1, shuffle=order > 0, seed=order).write_parquet(folder / "ratings")
        pl.DataFrame(diaries).sample(fraction=1, shuffle=order > 0, seed=order).write_parquet(folder / "diaries")
        return {"ratings": str(folder / "ratings"), "rated_diaries": str(folder / "diaries")}

    return write


@pytest.fixture
def outs(tmp_path):
    return {name: str(tmp_path / "out" / name) for name in ("validated", "version", "validation")}


def version(outs):
    return json.loads(Path(outs["version"]).read_text(encoding="utf-8"))


def test_what_passed_is_pinned_and_can_be_fetched(make, outs, tmp_path):
    remote = str(tmp_path / "remote")
    result = stages.execute("validate_data", {"remote": remote}, make(), outs)
    pinned = version(outs)
    assert re.fullmatch(r"[0-9a-f]{32}\.dir", pinned.pop("version"))
    assert pinned == {
        "n_ratings": 30, "n_diaries": 30, "classes": {"-1": 10, "-0.5": 0, "0": 0, "0.5": 10, "1": 10},
        "simulated": False,
    }  # fmt: skip
    assert result.metrics["n_rated_0.5"] == 10
    versions.pull(version(outs)["version"], remote, tmp_path / "back")
    for name, schema in (("ratings", records.RATINGS), ("diaries", records.DIARIES)):
        kept = records.read(Path(outs["validated"]) / f"{name}.parquet", schema)
        assert kept.height == 30
        assert records.read(tmp_path / "back" / f"{name}.parquet", schema).equals(kept)


def test_the_same_records_are_the_same_version(make, outs):
    stages.execute("validate_data", {}, make(), outs)
    first = version(outs)
    stages.execute("validate_data", {}, make(order=7), outs)
    assert version(outs) == first
    stages.execute("validate_data", {}, make(change=lambda r, d: r[4].update(rating=0.0)), outs)
    assert version(outs)["version"] != first["version"]


def test_simulated_ratings_say_so(make, outs):
    stages.execute("validate_data", {}, make(source=SIMULATED), outs)
    assert version(outs)["simulated"] is True
    assert "Simulated." in Path(outs["validation"]).read_text(encoding="utf-8")


def test_text_on_the_page_is_text_and_the_page_asks_nobody(make, outs):
    stages.execute("validate_data", {}, make(change=lambda r, d: d[3].update(text=TAG)), outs)
    page = Path(outs["validation"]).read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(&#39;읽지 마&#39;)&lt;/script&gt;" in page
    assert "<script" not in page
    assert not re.search(r"(src|href|url)\s*[=(]", page)
    assert "Simulated." not in page
    # 30 texts, one of them hardly Korean: kept 29, broken 1, and the rule passed
    row = next(line for line in page.splitlines() if "Hangul" in line)
    assert re.findall(r">([^<>]+)</td>", row)[2:] == ["30", "29", "1", "passed"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r, d: r[2].update(rating=0.7),
         "ratings, row 3, field 'rating', value '0.7': breaks the rule 'rating is one of -1, -0.5, 0, 0.5, 1' (1 of 30 rows)"),
        (lambda r, d: r[2].update(rating=float("nan")), "row 3, field 'rating', value 'nan': breaks the rule 'rating is there'"),
        (lambda r, d: r[29].update(diary_id="d00"), "row 30, field 'diary_id', value 'd29': breaks the rule 'every diary has a"),
        (lambda r, d: d[5].update(text=" "), "diaries, row 6, field 'text', value ' ': breaks the rule 'text is more than white"),
        (lambda r, d: (r.clear(), d.clear()), "breaks the rule 'has the column 'diary_id''"),
        (lambda r, d: (r.__delitem__(slice(5, 30)), d.__delitem__(slice(5, 30))),
         "diaries, value 5: breaks the rule 'at least 20 diaries'"),
    ],
)  # fmt: skip
def test_a_broken_rule_stops_the_run_and_leaves_nothing(make, outs, change, said):
    with pytest.raises(InputError) as error:
        stages.execute("validate_data", {}, make(change=change), outs)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not any(Path(out).exists() for out in outs.values())


def test_a_file_that_is_no_parquet_is_named(make, outs):
    inputs = make()
    Path(inputs["ratings"]).write_text("hello")
    with pytest.raises(InputError, match="is not a Parquet file"):
        stages.execute("validate_data", {}, inputs, outs)
