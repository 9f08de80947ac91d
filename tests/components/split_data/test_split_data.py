import json
import random
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.split_data import diaries as diary_rows
from components.split_data.config import Config
from components.split_data.split import draw
from components.split_data.stage import run
from memozy import records, stages
from memozy.raters import adjusted
from memozy.records import InputError
from memozy.texts import near_pairs, normalise


def validated(folder, diaries, ratings=None, surrogates=(), drafts=()):
    """A validated data set: diaries as (diary_id, context_id, text[, image_id]); one rating of 0.5 each, if not given.

    surrogates: (diary_id, rating, method) of `drafts`, diaries like the others.
    """
    ratings = ratings or [(d[0], "r", 0.5) for d in diaries]
    if surrogates:
        validated(folder, drafts)
        (folder / "diaries.parquet").rename(folder / "surrogate_diaries.parquet")
        frame = pl.DataFrame(surrogates, schema=["diary_id", "rating", "method"], orient="row")
        records.write(frame.with_columns(signal=pl.lit("edit")), folder / "surrogates.parquet", records.SURROGATES)
    columns = ["diary_id", "context_id", "text", "image_id"]
    frame = pl.DataFrame(
        [(*d, None)[:4] for d in diaries], schema=dict.fromkeys(columns, pl.String), orient="row"
    ).with_columns(prompt_id=pl.lit("p"), generator=pl.lit("g"), cost_usd=pl.lit(0.0), created_at=pl.lit("x"))
    rated = pl.DataFrame(ratings, schema=["diary_id", "rater_id", "rating"], orient="row").with_columns(
        source=pl.lit("f"), rated_at=pl.lit("x")
    )
    records.write(frame, folder / "diaries.parquet", records.DIARIES)
    records.write(rated, folder / "ratings.parquet", records.RATINGS)
    return folder


def split(diaries, ratings=None, automatic=(), drafts=(), **config):
    """(diary_id -> row of RATED, quarantined ids, metrics) of one run; `previous`: such rows of an earlier one."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        previous = config.pop("previous", None)
        if previous is not None:
            config["previous"] = str(root / "previous")
            pl.DataFrame(list(previous.values())).write_parquet(root / "previous")
        folder = validated(root / "validated", diaries, ratings, automatic, drafts)
        result = run(Config(**config), validated=folder, rated=root / "rated", quarantine=root / "quarantine")
        rows = records.read(root / "rated", records.RATED).to_dicts()
        aside = [json.loads(line)["diary_id"] for line in (root / "quarantine").read_text("utf-8").splitlines()]
    return {row["diary_id"]: row for row in rows}, set(aside), result.metrics


WORDS = (
    "바다",
    "산책",
    "커피",
    "친구",
    "노을",
    "기차",
    "시장",
    "강아지",
    "좋았다",
    "걸었다",
    "먹었다",
    "쉬었다",
    "왔다",
)


@st.composite
def data(draw):
    """Diaries of a few photos whose texts repeat exactly, up to signs, up to a word, or not at all."""
    texts = draw(
        st.lists(st.lists(st.sampled_from(WORDS), min_size=4, max_size=8).map(" ".join), min_size=3, max_size=12)
    )
    n = draw(st.integers(10, 30))
    return [
        (f"d{i:02d}", f"c{draw(st.integers(0, 12)):02d}",
         draw(st.sampled_from(texts)) + draw(st.sampled_from(["", "!", " 참", " …"])))
        for i in range(n)
    ]  # fmt: skip


def refuse_leaks(rows, diaries):
    """No photo, group or text, nor a near-duplicate of a text, stands on both sides."""
    contexts = {d: c for d, c, _ in diaries}
    for value in (lambda r: r["group_id"], lambda r: normalise(r["text"]), lambda r: contexts[r["diary_id"]]):
        sides = {}
        for row in rows.values():
            sides.setdefault(value(row), set()).add(row["split"])
        assert all(len(side) == 1 for side in sides.values())
    placed = list(rows.values())
    pairs = near_pairs([normalise(r["text"]) for r in placed], Config().near_duplicate)
    assert all(placed[i]["split"] == placed[j]["split"] for i, j in pairs)


RECENT = ("context_id", "prompt_id", "rating_variance", "simulated")  # columns that RATED did not always have
ANY_GROUPS = {"max_group_share": 1.0, "test_share": 0.4}
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def attempt(diaries, **config):
    try:
        return split(diaries, **ANY_GROUPS, **config)
    except InputError as error:
        assert "falls into" in str(error)  # one side may come out empty, which is said
        return None


@QUICK
@given(data(), st.randoms(use_true_random=False))
def test_no_group_and_no_text_crosses_the_split_whatever_the_order(diaries, order):
    shuffled = order.sample(diaries, len(diaries))
    outcome = attempt(diaries)
    assert attempt(shuffled) == outcome
    if outcome is None:
        return
    rows, aside, _ = outcome
    assert not aside
    refuse_leaks(rows, diaries)


@QUICK
@given(data(), st.integers(1, 29))
def test_newcomers_move_nobody_and_never_leak(diaries, cut):
    first = attempt(diaries[:cut])
    if first is None:
        return
    before = first[0]
    outcome = attempt(diaries, previous=before, seed=99)  # another draw, were it not inherited
    rows, aside, metrics = outcome
    assert {d: rows[d]["split"] for d in before} == {d: r["split"] for d, r in before.items()}
    assert aside.isdisjoint(before)
    assert rows.keys() | aside == {d for d, _, _ in diaries}
    assert metrics["n_inherited"] == len(before)
    refuse_leaks(rows, diaries)


def spread(n, start=0):
    """Diaries of n photos, two each, none like another."""
    rng = random.Random(5)
    letters = [chr(0xAC00 + i) for i in range(11172)]
    texts = ["".join(rng.sample(letters, 40)) for _ in range(2 * (n + start))]
    return [(f"d{i:03d}", f"c{i // 2:03d}", texts[i]) for i in range(2 * start, 2 * (n + start))]


def test_ratings_are_averaged_by_diary():
    diaries = spread(20)
    ratings = [(d, "a", 0.5) for d, _, _ in diaries] + [("d003", "b", -1.0), ("d003", "c", 1.0), ("d004", "b", 0.0)]
    rows, _, metrics = split(diaries, ratings)
    assert (rows["d003"]["rating"], rows["d003"]["n_raters"]) == (pytest.approx(0.5 / 3), 3)
    assert (rows["d004"]["rating"], rows["d004"]["n_raters"]) == (0.25, 2)
    assert (rows["d005"]["rating"], rows["d005"]["n_raters"]) == (0.5, 1)
    # 0.5, -1, 1: ((1/3)² + (7/6)² + (5/6)²) / 2 = (4 + 49 + 25) / 72; 0.5, 0: 2 · 0.25²
    assert rows["d003"]["rating_variance"] == pytest.approx(78 / 72)
    assert (rows["d004"]["rating_variance"], rows["d005"]["rating_variance"]) == (0.125, None)
    assert (rows["d003"]["context_id"], rows["d003"]["prompt_id"]) == ("c001", "p")
    assert metrics["n_train"] + metrics["n_test"] == 40
    assert metrics["n_groups"] == 20
    assert metrics["largest_group_share"] == 2 / 40


def test_a_near_duplicate_joins_two_photos():
    diaries = spread(20)
    text = diaries[0][2]
    diaries[10] = (diaries[10][0], diaries[10][1], text[:20] + "갸" + text[21:])
    rows, _, metrics = split(diaries)
    # 40 letters have 39 + 38 + 37 = 114 grams; one changed letter touches 2 + 3 + 4: 105 / 114 = 0.92
    assert rows["d000"]["group_id"] == rows["d010"]["group_id"] == rows["d011"]["group_id"] == "c000"
    assert (metrics["n_near_duplicates"], metrics["n_groups"]) == (1, 19)
    assert split(diaries, near_duplicate=0.93)[2]["n_near_duplicates"] == 0
    assert split(diaries, near_duplicate=1)[2]["n_groups"] == 20


def test_all_contexts_of_a_photo_are_one_group_that_the_photo_names():
    diaries = [(d, f"c{99 - n:02d}", text, f"p{n // 5:02d}") for n, (d, _, text) in enumerate(spread(25))]
    rows, _, metrics = split(diaries)
    assert metrics["n_groups"] == 10  # 50 diaries, each of a context of its own, five to a photo
    assert all(row["group_id"] == row["image_id"] for row in rows.values())
    # a late context of an old photo joins it, and an old context does, where its photo was not recorded at first
    bare = {d: {k: v for k, v in row.items() if k != "image_id"} | {"group_id": row["context_id"]}
            for d, row in split([d[:3] for d in diaries])[0].items()}  # fmt: skip
    for side in ("train", "test"):
        old = next(row for row in rows.values() if row["split"] == side)
        late = ("d900", "c-new", "오늘은 비가 와서 집에서 책을 읽었다", old["image_id"])
        again, aside, _ = split([*diaries, late], previous=rows, seed=99)
        assert (again["d900"]["group_id"], again["d900"]["split"], aside) == (old["image_id"], side, set())
        same = next(row for row in bare.values() if row["split"] == side)
        late = ("d900", same["context_id"], "오늘은 비가 와서 집에서 책을 읽었다", "p-new")
        again, _, _ = split([*(d[:3] for d in diaries), late], previous=bare, seed=99)
        assert (again["d900"]["group_id"], again["d900"]["split"]) == (same["group_id"], side)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_photo_finds_its_group_again_where_another_names_it(seed):
    rows, _, _ = split([(d, f"x-{d}", text, c) for d, c, text in joined(20)], seed=seed)
    assert {row["group_id"] for row in rows.values() if row["image_id"] == "c005"} == {"c000"}
    late = ("d900", "x-new", "오늘은 비가 와서 집에서 책을 읽었다", "c005")
    alone, _, _ = split([*spread(20, start=40), late], previous=rows, seed=99)
    assert (alone["d900"]["group_id"], alone["d900"]["split"]) == ("c000", rows["d010"]["split"])


def test_a_photo_that_comes_late_to_an_old_one_inherits_its_side():
    rows, _, _ = split(spread(20))
    for side in ("train", "test"):
        old = next(row for row in rows.values() if row["split"] == side)
        late = ("d900", "a-smaller-context", old["text"] + "!")
        again, aside, metrics = split([*spread(20), late], previous=rows, seed=99)
        assert (again["d900"]["split"], again["d900"]["group_id"]) == (side, old["group_id"])
        assert not aside
        assert metrics["n_inherited"] == 40
        # earlier rows bind a newcomer even where this data set no longer has them
        alone, _, _ = split([*spread(20, start=40), late], previous=rows, seed=99)
        assert alone["d900"]["split"] == side


def joined(n):
    """Diaries of n photos, of which the first and the sixth share a text."""
    diaries = spread(n)
    diaries[10] = (diaries[10][0], diaries[10][1], diaries[0][2] + "!")
    return diaries


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_photo_finds_its_group_again_where_the_one_that_names_it_is_gone(seed):
    rows, _, _ = split(joined(20), seed=seed)
    assert rows["d010"]["group_id"] == "c000"
    late = ("d900", "c005", "오늘은 비가 와서 집에서 책을 읽었다")
    alone, aside, _ = split([*spread(20, start=40), late], previous=rows, seed=99)
    assert (alone["d900"]["group_id"], alone["d900"]["split"]) == ("c000", rows["d010"]["split"])
    assert not aside


def test_a_split_without_photos_still_binds_by_its_groups_names():
    rows, _, _ = split(joined(20))
    bare = {d: {k: v for k, v in row.items() if k not in RECENT} for d, row in rows.items()}
    late = ("d900", "c000", "오늘은 비가 와서 집에서 책을 읽었다")
    again, _, metrics = split([*joined(20), late], previous=bare, seed=99)
    assert {d: again[d] for d in rows} == rows
    assert (again["d900"]["group_id"], again["d900"]["split"]) == ("c000", rows["d000"]["split"])
    assert metrics["n_inherited"] == 40


def test_an_earlier_group_stays_whole_when_its_texts_no_longer_count_as_near():
    diaries = spread(20)
    text = diaries[6][2]
    diaries[10] = ("d010", "c005", text[:20] + "갸" + text[21:])  # a cosine of 0.92, as above
    rows, _, _ = split(diaries)
    whole = {"d006", "d007", "d010", "d011"}
    assert {rows[d]["group_id"] for d in whole} == {"c003"}
    other = next(r for r in rows.values() if r["split"] == rows["d006"]["split"] and r["group_id"] < "c003")
    late = ("d900", "c005", other["text"])
    again, _, _ = split([*diaries, late], previous=rows, near_duplicate=0.95)
    assert {again[d]["group_id"] for d in whole | {"d900"}} == {other["group_id"]}


def test_a_bridge_is_set_aside_with_its_photo():
    rows, _, _ = split(spread(20))
    train, test = (next(r for r in rows.values() if r["split"] == side) for side in ("train", "test"))
    late = [("d900", "c900", train["text"]), ("d901", "c900", test["text"]), *spread(5, start=60)]
    again, aside, metrics = split([*spread(20), *late], previous=rows)
    assert aside == {"d900", "d901"}
    assert metrics["n_quarantined"] == 2
    assert {d: again[d]["split"] for d in rows} == {d: r["split"] for d, r in rows.items()}


def test_an_old_split_that_leaks_today_is_refused():
    rows, _, _ = split(spread(20))
    train, test = (next(r for r in rows.values() if r["split"] == side) for side in ("train", "test"))
    moved = [(d, c, train["text"] if d == test["diary_id"] else text) for d, c, text in spread(20)]
    with pytest.raises(InputError, match=f"'{train['diary_id']}' of train and '{test['diary_id']}' of test"):
        split(moved, previous=rows)


def test_one_group_that_holds_most_of_the_data_is_refused(tmp_path):
    diaries = [(f"d{i}", "c0" if i < 6 else f"c{i}", text) for i, (_, _, text) in enumerate(spread(5))]
    folder = validated(tmp_path / "validated", diaries)
    outs = {"rated": str(tmp_path / "rated"), "quarantine": str(tmp_path / "quarantine")}
    with pytest.raises(InputError, match=r"validated, field 'context_id': one group holds 60% of the diaries"):
        stages.execute("split_data", {}, {"validated": str(folder)}, outs)
    assert not any(Path(out).exists() for out in outs.values())


def test_an_empty_side_is_refused():
    with pytest.raises(InputError, match="no diary falls into test"):
        split(spread(3), test_share=1e-9)
    with pytest.raises(InputError, match="no diary falls into train"):
        split(spread(3), test_share=1 - 1e-9)


def test_ratings_are_adjusted_to_the_panel_if_asked_for():
    # «harsh» rates the same diaries lower by 0.5 than «mild»; each rates ten more alone
    diaries = spread(20)
    level = {d: (-0.5, 0.0, 0.5)[i % 3] for i, (d, _, _) in enumerate(diaries)}
    ratings = [(d, "mild", level[d] + 0.5) for d in list(level)[:25]] + [
        (d, "harsh", level[d]) for d in list(level)[15:]
    ]
    rows, _, _ = split(diaries, ratings, aggregate="adjusted")
    ids, means = adjusted([r for *_, r in ratings], [d for d, *_ in ratings], [who for _, who, _ in ratings])
    assert [rows[d]["rating"] for d in ids] == pytest.approx(means.clip(-1, 1).tolist())
    assert rows["d000"]["rating"] < 0 < split(diaries, ratings)[0]["d000"]["rating"] + 0.5
    assert rows["d039"]["rating"] > level["d039"]
    assert {row["n_raters"] for row in rows.values()} == {1, 2}
    assert {row["rating_variance"] for row in rows.values()} == {None}


def test_what_cannot_be_adjusted_is_said(monkeypatch):
    monkeypatch.setattr(diary_rows, "CELLS", 30)
    with pytest.raises(InputError, match="'aggregate', value 'adjusted': 1 raters of 40 diaries are too many"):
        split(spread(20), aggregate="adjusted")
    monkeypatch.undo()
    with pytest.raises(InputError, match="no group has two ratings.*Rate more"):
        split(spread(1)[:1], aggregate="adjusted")


TRAINED, HELD = (next(f"n{i}" for i in range(99) if draw(f"n{i}", 0, 0.2) == side) for side in ("train", "test"))


def test_surrogates_become_training_rows_by_the_setting_and_people_win():
    diaries = spread(20)
    drafts = [*((f"s{i}", TRAINED, d[2]) for i, d in enumerate(spread(1, start=40))), diaries[0]]
    automatic = [("s0", 0.25, "isotonic"), ("s1", 1.0, "rule"), ("d000", -1.0, "isotonic")]
    people, _, _ = split(diaries)
    for setting, expected in (("leave_out", set()), ("calibrated", {"s0"}), ("all", {"s0", "s1"})):
        rows, aside, metrics = split(diaries, None, automatic, drafts, surrogates=setting)
        assert {d: rows[d] for d in people} == people  # nobody's rating is moved or replaced
        assert rows.keys() - people.keys() == expected and not aside
        assert metrics["n_surrogates"] == len(expected)
    told = [(rows[d]["rating"], rows[d]["n_raters"], rows[d]["split"], rows[d]["surrogate"]) for d in ("s0", "s1")]
    assert told == [(0.25, 0, "train", True), (1.0, 0, "train", True)]
    assert {row["surrogate"] for row in people.values()} == {False}


def test_no_surrogate_is_tested_on_and_none_joins_what_is_held_out():
    diaries = spread(20)
    people, _, _ = split(diaries)
    train, *_, far = (r for r in people.values() if r["split"] == "train")
    test = next(r for r in people.values() if r["split"] == "test")
    one, other, third = (d[2] for d in spread(2, start=40)[:3])
    drafts = [
        ("s0", HELD, one),  # its own group is drawn to be held out
        ("s1", "x1", test["text"] + "!"),  # what people's diary says that is held out
        ("s2", "x2", train["text"] + "!"),
        ("s3", test["context_id"], other),  # and of a photo that is held out
        ("s4", "x4", far["text"] + "?"), ("s5", "x4", test["text"] + "?"),  # a photo that stands between
        ("s6", TRAINED, third),
    ]  # fmt: skip
    automatic = [(d, 0.5, "isotonic") for d, *_ in drafts]
    rows, aside, metrics = split(diaries, None, automatic, drafts)
    assert {d: rows[d] for d in people} == people
    assert rows.keys() - people.keys() == {"s2", "s6"}
    assert (rows["s2"]["group_id"], rows["s2"]["split"]) == (train["group_id"], "train")
    assert aside == {"s0", "s1", "s3", "s4", "s5"}
    assert (metrics["n_surrogates"], metrics["n_surrogates_aside"]) == (2, 5)


def test_earlier_surrogates_move_nobody_and_keep_their_own_side():
    diaries, third = spread(20), spread(1, start=40)[0][2]
    people, _, _ = split(diaries)
    test = next(r for r in people.values() if r["split"] == "test")
    drafts = [("s0", TRAINED, third), ("s1", "x1", third + "?")]
    automatic = [(d, 0.5, "isotonic") for d, *_ in drafts]
    before, _, _ = split(diaries, None, automatic, drafts)
    assert before["s0"]["split"] == before["s1"]["split"] == "train"
    # people's rows near an earlier surrogate, of its photo, or between it and what is held out, stand as without it
    late = [
        ("d900", HELD, third + "!"),
        ("d901", "x1", spread(1, start=50)[0][2]),
        ("d902", TRAINED, test["text"] + "!"),
    ]
    for newcomers in (late[:1], late[1:2], late[2:], late):
        alone, aside, _ = split([*diaries, *newcomers], previous=people)
        again, also_aside, _ = split([*diaries, *newcomers], previous=before)
        assert (again, also_aside) == (alone, aside) and not aside
    assert (alone["d900"]["split"], alone["d902"]["split"]) == ("test", "test")
    # the surrogates themselves keep their side under another seed, and are set aside where people's tests came near
    for seed in range(5):
        again, aside, _ = split(diaries, None, automatic, drafts, previous=before, seed=seed)
        assert (again, aside) == (before, set())
    again, aside, _ = split([*diaries, late[0]], None, automatic, drafts, previous=before)
    assert again.keys() == {*people, "d900"} and aside == {"s0", "s1"}


@pytest.mark.parametrize("seed", range(4))
def test_a_surrogate_that_people_rate_later_stays_what_was_trained_on(seed):
    diaries, draft = spread(20), ("s0", TRAINED, spread(1, start=40)[0][2])
    before, _, _ = split(diaries, None, [("s0", 0.5, "isotonic")], [draft])
    late = ("d900", TRAINED, "오늘은 비가 와서 집에서 책을 읽었다")  # of its photo, which is a person's row now
    again, aside, metrics = split([*diaries, draft, late], previous=before, seed=seed)
    assert {d: again[d]["split"] for d in before} == {d: r["split"] for d, r in before.items()} and not aside
    told = [
        (again[d]["split"], again[d]["group_id"], again[d]["surrogate"], again[d]["n_raters"]) for d in ("s0", "d900")
    ]
    assert told == [("train", before["s0"]["group_id"], False, 1)] * 2
    assert metrics["n_inherited"] == 41
