from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from components.check_feedback.enough import enough
from memozy import records, stages
from memozy.drift import Drift
from memozy.feedback import open_store, publish
from memozy.records import InputError


def drift(bits, p=0.001, of="ratings"):
    return Drift(of, ("-1", "1"), (0.5, 0.5), (0.5, 0.5), bits, p)


EACH = [-1.0, -0.5, 0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("levels", "reactions", "drifts", "limits", "answer", "reason"),
    [
        ([0.5] * 49, 0, [], (50, 0), False, "49 new ratings, 50 are needed"),
        ([0.5] * 40, 10, [], (50, 0), True, "40 new ratings and 10 reactions, 50 were needed"),
        (EACH, 0, [], (5, 1), True, "5 new ratings, 5 were needed"),
        ([*EACH[:4], 0.5], 0, [], (5, 1), False, "5 new ratings, but 0 at 1; 1 of each level are needed"),
        ([], 0, [], (1, 0), False, "0 new ratings, 1 are needed"),
        ([0.5] * 9, 0, [drift(0.04), drift(0.3, p=0.02)], (50, 0), False, "9 new ratings, 50 are needed; nothing has drifted"),
        ([0.5] * 9, 0, [drift(0.04), drift(0.3, of="characters")], (50, 0), True,
         "9 new ratings, 50 are needed; characters have drifted by 0.3 bits (p 0.001; 0.045 are allowed)"),
        ([0.5] * 50, 0, [drift(0.04)], (50, 0), True, "50 new ratings, 50 were needed; nothing has drifted"),
        ([0.5] * 50, 0, [drift(0.3)], (50, 0), True,
         "50 new ratings, 50 were needed; ratings have drifted by 0.3 bits (p 0.001; 0.045 are allowed)"),
    ],
)  # fmt: skip
def test_enough_and_why(levels, reactions, drifts, limits, answer, reason):
    found = enough(len(levels), reactions, Counter(levels + [1.0] * reactions), drifts,
                   min_new=limits[0], min_per_class=limits[1], most=0.045)  # fmt: skip
    assert found == (answer, reason)


def check(**config):
    return stages.execute("check_feedback", config, {}, {}).metrics


@pytest.fixture
def sheet(tmp_path):
    """Write a file of ratings [(diary, rating)] by rater a, with texts where `text` makes them of a diary's number."""

    def write(ratings, name="feedback.csv", text=None):
        lines = [f"d{n},a,{rating}" + (f",{text(n).strip()}" if text else "") for n, rating in ratings]
        (tmp_path / name).write_text("\n".join(["diary_id,rater_id,rating" + ",text" * bool(text), *lines]), encoding="utf-8")
        return str(tmp_path / name)

    return write


@pytest.fixture
def validated(tmp_path):
    """A data set that an earlier run was trained on: `n` diaries, rated `levels` in turn."""

    def make(n, levels=EACH, text=lambda n: "오늘 바다에 갔다"):
        rows = [{"diary_id": f"d{i}", "rater_id": "a", "rating": levels[i % len(levels)], "source": "f", "rated_at": "x"} for i in range(n)]
        diaries = [{"diary_id": f"d{i}", "context_id": f"c{i}", "image_id": None, "prompt_id": "p", "generator": "g",
                    "text": text(i).strip(), "cost_usd": 0.0, "created_at": "x"} for i in range(n)]  # fmt: skip
        records.write(pl.DataFrame(rows), tmp_path / "validated/ratings.parquet", records.RATINGS)
        records.write(pl.DataFrame(diaries, schema=records.DIARIES.dtypes), tmp_path / "validated/diaries.parquet", records.DIARIES)
        return str(tmp_path / "validated")

    return make


def test_the_gate_opens_on_new_ratings_alone(sheet, validated):
    feedback = sheet([(n, 0.5) for n in range(60)])
    assert check(ratings=feedback) == {"n_new": 60, "n_new_ratings": 60, "n_new_reactions": 0, "n_known": 0, "enough": 1}
    known = validated(11)
    for where in (known, f"{known}/ratings.parquet"):
        found = check(ratings=feedback, known=where, drift=0)
        assert (found["n_new"], found["n_known"], found["enough"]) == (49, 11, 0)
        assert check(ratings=feedback, known=where, drift=0, min_new=49)["enough"] == 1


def test_what_import_ratings_would_set_aside_does_not_count(sheet, tmp_path):
    stars = sheet([(1, 5), (2, 4), (3, 6), (4, "x"), (1, 5)], "stars.csv")
    more = sheet([(5, 3), ("", 3)], "more.csv")
    found = check(ratings=(stars, more), scale={1: -1, 2: -0.5, 3: 0, 4: 0.5, 5: 1}, min_new=3)
    assert (found["n_new"], found["enough"]) == (4, 1)  # the row without a number is diary «d»
    assert check(ratings=(stars,), min_new=1)["enough"] == 0  # 5 stars are no level without a scale


def test_ratings_of_another_kind_open_the_gate_however_few(sheet, validated, capsys):
    known = validated(200)
    praise = sheet([(n, 1) for n in range(1000, 1030)])
    found = check(ratings=praise, known=known)
    # shares 0.2 each against all in one of five: by hand (0.2 log2(0.2/0.6) + 0.8 log2 2 + log2(1/0.6)) / 2 = 0.6100
    assert found["drift_ratings"] == pytest.approx(0.6100, abs=1e-4)
    assert found["enough"] == 1
    assert "30 new ratings, 50 are needed; ratings have drifted by 0.61 bits" in capsys.readouterr().out
    for closed in ({"min_for_drift": 31}, {"drift": 0}, {"drift": 0.62}):
        assert check(ratings=praise, known=known, **closed)["enough"] == 0
    alike = sheet([(n, EACH[n % 5]) for n in range(1000, 1030)])
    assert check(ratings=alike, known=known)["enough"] == 0


def test_texts_of_another_kind_open_the_gate(sheet, validated, capsys):
    known = validated(60, text=lambda n: "바다 " * (n % 7 + 3))
    same = sheet([(n, EACH[n % 5]) for n in range(100, 130)], text=lambda n: "산책 " * (n % 7 + 3))
    found = check(ratings=same, known=known)
    assert found["enough"] == 0 and found["drift_characters"] < 0.01
    english = sheet([(n, EACH[n % 5]) for n in range(100, 130)], text=lambda n: "sea " * (n % 7 + 3))
    assert check(ratings=english, known=known)["enough"] == 1
    assert "characters have drifted" in capsys.readouterr().out


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """Record a showing, and what a user did with it."""
    monkeypatch.setenv("MEMOZY_FEEDBACK", f"sqlite:///{tmp_path}/f.sqlite")

    def record(name, kind=None, draft="오늘 바다에 갔다", diary=None):
        with open_store() as store:
            store.record(event_id=name, shown_id=name, kind="shown", prompt_id="A", propensity=0.5, draft=draft, diary_id=diary)
            if kind:
                final = "오늘 바다에 갔다!" if kind == "edit" else None
                store.record(event_id=f"{name}+", shown_id=name, kind=kind, final=final)

    return record


def test_reactions_of_the_store_count_published_or_not(sheet, shown, tmp_path):
    with pytest.raises(InputError, match="holds no feedback yet"):
        check(store=True)
    for n, kind in enumerate(["like", "dislike", "regenerate", "edit", None]):
        shown(f"s{n}", kind)
    found = check(store=True, min_new=4)
    assert found == {"n_new": 4, "n_new_ratings": 0, "n_new_reactions": 4, "n_known": 0, "enough": 1}
    assert check(store=True, min_new=4, min_per_class=1)["enough"] == 0  # nobody's is worth 0
    both = check(ratings=sheet([(1, 0), (2, 0.5)]), store=True, min_new=6, min_per_class=1)
    assert (both["n_new"], both["enough"]) == (6, 1)
    publish(tmp_path / "batches")  # by hand, or by a run that failed afterwards: nothing was trained on them
    assert check(store=True, min_new=4) == found


def test_reactions_are_known_once_a_run_had_surrogates_of_them(sheet, validated, shown):
    known = validated(5)
    shown("s0", "like")
    shown("s1", "dislike", diary="d1")
    shown("s2", "like", draft=None, diary="d2")  # whose text is the rated diary's
    shown("s3", "like", draft=None, diary="n9")  # which no run can learn from, until that diary is rated
    shown("s4", "edit", diary="n4")
    assert check(store=True, known=known)["n_new"] == 4
    shown("s7", "like", draft=None, diary="d7")
    late = sheet([(7, 0.5)], text=lambda n: "오늘은 집에서 쉬었다")
    assert check(store=True, known=known)["n_new_reactions"] == 4
    assert check(store=True, ratings=late, known=known)["n_new_reactions"] == 5
    surrogates = [{"diary_id": d, "rating": 1.0, "signal": "like", "method": "rule"} for d in ("s0", "d1", "n4")]
    records.write(pl.DataFrame(surrogates), Path(known) / "surrogates.parquet", records.SURROGATES)
    drafts = records.read(Path(known) / "diaries.parquet", records.DIARIES).head(3).with_columns(diary_id=pl.Series(["s0", "d1", "n4"]))
    records.write(drafts, Path(known) / "surrogate_diaries.parquet", records.DIARIES)
    assert check(store=True, known=known)["n_new"] == 1
    assert check(store=True, known=f"{known}/ratings.parquet")["n_new"] == 3  # it knows no reaction, and no text
    shown("s5", "like", diary="n4")
    assert check(store=True, known=known)["n_new"] == 1
    shown("s6", "like")
    assert check(store=True, known=known)["n_new"] == 2


def test_drafts_that_users_reacted_to_count_as_texts(validated, shown):
    known = validated(60)
    for n in range(30):
        shown(f"s{n}", draft="went to the sea")
    found = check(store=True, known=known)
    assert (found["n_new"], found["enough"]) == (0, 0)  # a run would learn nothing from them
    with open_store() as store:
        for n in range(30):
            store.record(event_id=f"r{n}", shown_id=f"s{n}", kind="like")
    found = check(store=True, known=known)
    assert (found["n_new"], found["enough"]) == (30, 1)


def test_a_missing_file_is_an_error_not_a_closed_gate(sheet, tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file"):
        check(ratings=str(tmp_path / "nowhere.csv"))
    with pytest.raises(InputError, match=r"gone: no such file"):
        check(ratings=sheet([(1, 0.5)]), known=str(tmp_path / "gone"))
    with pytest.raises(InputError, match="name the 'ratings' to look at, or the 'store'"):
        check()
