"""The feedback store and its batches, on SQLite and on a real PostgreSQL."""

import hashlib
import os
import random
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from memozy.feedback import batches, open_store, outcomes, publish, read_events, schema
from memozy.feedback.store import Added, Store
from memozy.records import EVENTS, InputError
from tests.postgres import postgres  # noqa: F401 - a fixture

AT = "2025-03-01T09:30:00+09:00"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    return request.getfixturevalue("postgres") if request.param == "postgresql" else f"sqlite:///{tmp_path}/f.sqlite"


def shown(event_id, **other):
    return {"event_id": event_id, "shown_id": event_id, "kind": "shown", "prompt_id": "A", "propensity": 0.5} | other


def reaction(event_id, shown_id, kind="like", **other):
    return {"event_id": event_id, "shown_id": shown_id, "kind": kind, "at": AT} | other


def frame(events):
    return pl.DataFrame(events, schema=EVENTS.dtypes)


def store_with(url, *events):
    with open_store(url) as store:
        store.add(frame(events))


def ids(paths):
    return [pl.read_parquet(path)["event_id"].to_list() for path in paths]


def test_an_event_told_again_counts_once_and_never_changes(url):
    with open_store(url) as store:
        assert store.record(**shown("s1", propensity=1))
        assert not store.record(**shown("s1", propensity=1.0, draft=None))
        with pytest.raises(
            InputError, match="field 'event_id', value 's1': is in the store with another 'segment'. An event"
        ):
            store.record(**shown("s1", propensity=1, segment="young"))
        log = frame([shown("s1", propensity=1), shown("s2"), shown("s2"), reaction("r", "s2")])
        assert store.add(log) == Added(n_new=2, n_repeated=2)
        with pytest.raises(InputError, match=r"^log\.jsonl, row 2, field 'event_id', value 's2'"):
            store.add(frame([shown("s3"), shown("s2", segment="old")]), "log.jsonl")
        assert not store.record(**reaction("r", "s2")) and store.record(
            **shown("s3")
        )  # nothing of a refused log was kept


def test_threads_share_a_store(url):
    with open_store(url) as store, ThreadPoolExecutor(8) as threads:
        told = list(threads.map(lambda n: store.record(**shown(f"s{n % 40}")), range(120)))
        assert (told.count(True), store.status().n_new) == (40, 40)


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (reaction("a", "s", "love"), "kind"),
        (reaction("a", "s", "edit"), "final"),
        (reaction("a", "s", at="gestern"), "at"),
        (reaction(7, "s"), "event_id"),
        (reaction("", "s"), "event_id"),
        (reaction("a", "s" * 501), "shown_id"),
        (reaction("a", "s", final="오\0늘"), "final"),
        (reaction("a", "s", final="오\ud800"), "event_id"),
        (reaction("a", "s", drafts="x"), "drafts"),
        (shown("s", shown_id="t"), "shown_id"),
        (shown("s", prompt_id=None), "prompt_id"),
        (shown("s", propensity=0), "propensity"),
        (shown("s", propensity=True), "propensity"),
        (shown("s", propensity=float("nan")), "propensity"),
    ],
)
def test_a_bad_event_is_refused_before_a_store_is_made(tmp_path, event, field):
    with (
        open_store(f"sqlite:///{tmp_path}/f.sqlite") as store,
        pytest.raises(InputError, match=rf"field '{field}'.*\. \w"),
    ):
        store.record(**event)
    assert not list(tmp_path.iterdir())


def test_a_reaction_waits_for_its_showing_and_for_the_text_that_was_edited(url, tmp_path):
    store_with(url, shown("s1"), reaction("a", "s2"), reaction("b", "s1", "edit", final="끝"), reaction("c", "a"))
    assert ids(publish(tmp_path / "out", url)) == [["s1"]]
    with open_store(url) as store:
        found = store.status()
    assert (found.n_new, found.n_waiting, found.n_published, found.n_batches) == (0, 3, 1, 1)
    assert found.kinds == {"shown": 1, "like": 2, "edit": 1}
    store_with(url, shown("s2", draft="글"), reaction("d", "s2", "edit", final="끝", at=None))
    assert ids(publish(tmp_path / "out", url)) == [["a", "d", "s2"]]
    assert outcomes(read_events(tmp_path / "out"))["shown_id"].to_list() == ["s1", "s2"]
    assert publish(tmp_path / "out", url) == []


def test_batches_of_any_size_make_a_whole_log_at_any_time(url, tmp_path):
    rng = random.Random(2)
    events = [shown(f"s{i}") for i in range(12)] + [reaction(f"a{i}", f"s{rng.randrange(12)}") for i in range(30)]
    rng.shuffle(events)
    store_with(url, *events)
    with open_store(url) as store:
        sizes = [store.claim(most) for most in (1, 2, 5, 3, 9, 100, 100)]
        assert sizes == [1, 2, 5, 3, 9, 22, 0]
        assert [b.n_events for b in store.batches()] == sizes[:-1]
        (tmp_path / "out").mkdir()
        for batch in store.batches():
            batches._write(store, batch, tmp_path / "out")
            assert read_events(tmp_path / "out").height == sum(sizes[: batch.number])


@pytest.fixture
def events():
    """Whatever bytes may differ by: order of ids, nulls, numbers, Korean, composed and decomposed."""
    odd = [
        "Z",
        "a",
        "é",
        "가",
        "e\u0301",
        "😀",
        "~",
        "_",
        "10",
        "9",
        "A",
        "aa",
        "a-b",
        "ab",
        "\uffff",
        "'",
        '"',
        "\\",
        " x",
    ]
    showings = [shown(i, propensity=1 / (n + 3), draft="오늘 '바다'에\n\t갔다 " * n, segment=[None, "", "young"][n % 3])
                for n, i in enumerate(odd)]  # fmt: skip
    return [
        *showings,
        *(reaction(f"{i}!", i, ("dislike", "regenerate")[n % 2], propensity=-0.0) for n, i in enumerate(odd)),
    ]


def test_both_databases_publish_the_same_bytes(postgres, tmp_path, events):  # noqa: F811
    folders = []
    for place in (postgres, f"sqlite:///{tmp_path}/f.sqlite"):
        random.Random(place).shuffle(events)
        for event in events[:5]:
            store_with(place, event)
        store_with(place, *events)
        folders.append(tmp_path / str(len(folders)))
        [batch] = publish(folders[-1], place)
        assert batch.stem == hashlib.sha256(batch.read_bytes()).hexdigest()
    [one], [other] = (list(folder.iterdir()) for folder in folders)
    assert one.name == other.name
    back = pl.read_parquet(one)
    assert back.equals(frame(events).sort("event_id"))


class Killed(Exception):
    pass


def dies(monkeypatch, place, name, before):
    """From now on `name` of `place` ends the process, in effect: `before` it did anything or once it has."""
    real = getattr(place, name)

    def fatal(*arguments):
        if not before:
            real(*arguments)
        raise Killed

    monkeypatch.setattr(place, name, fatal)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    ("place", "name"), [(Store, "batches"), (Store, "pin"), (os, "fsync"), (os, "replace"), (Store, "mark")]
)
def test_killed_anywhere_a_publisher_leaves_its_batch_to_the_next(url, tmp_path, place, name, before):
    store_with(url, shown("s1"), reaction("a", "s1"))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        dies(patch, place, name, before)
        publish(tmp_path / "out", url)
    store_with(url, shown("s2"))  # comes too late for the batch
    publish(tmp_path / "out", url)
    whole = [batches.encode(frame(some)) for some in ([shown("s1"), reaction("a", "s1")], [shown("s2")])]
    written = {path.read_bytes() for path in (tmp_path / "out").glob("*.parquet")}
    assert written == set(whole)
    with open_store(url) as store:
        assert [(b.n_events, b.published) for b in store.batches()] == [(2, True), (1, True)]


def test_an_event_that_was_begun_earlier_and_kept_later_is_not_lost(postgres, tmp_path):  # noqa: F811
    store_with(postgres, shown("b"))
    with open_store(postgres) as slow:
        with slow._writing(create=True) as db:
            db.execute(schema.tables()[0].insert(), shown("a"))
            store_with(postgres, shown("c"))
            assert ids(publish(tmp_path / "out", postgres)) == [["b", "c"]]
    assert ids(publish(tmp_path / "out", postgres)) == [["a"]]


def test_a_folder_that_lost_a_batch_gets_it_again(url, tmp_path, monkeypatch):
    store_with(url, shown("s1"))
    [first] = publish(tmp_path / "out", url)
    store_with(url, reaction("a", "s1"))
    [second] = publish(tmp_path / "out", url)
    first.unlink()
    with pytest.raises(
        InputError, match="row 1, field 'shown_id', value 's1': is about a showing that is not in the log"
    ):
        read_events(tmp_path / "out")
    assert publish(tmp_path / "out", url) == [first]
    assert {p.name for p in publish(tmp_path / "other", url)} == {first.name, second.name}
    second.write_bytes(first.read_bytes())
    with pytest.raises(InputError, match=rf"{second.name}: is no published batch"):
        read_events(tmp_path / "out")
    second.unlink()
    monkeypatch.setattr(batches, "encode", lambda events: b"as a later polars writes")
    with pytest.raises(InputError, match=rf"out: lacks batch {second.stem}, whose bytes .* Copy it"):
        publish(tmp_path / "out", url)
    assert [p.name for p in (tmp_path / "out").iterdir()] == [first.name]


def test_a_folder_that_can_not_be_written_loses_nothing(url, tmp_path):
    store_with(url, shown("s1"))
    (tmp_path / "file").touch()
    for folder in ("file", "file/below"):
        with pytest.raises(InputError, match=rf"{folder}: can't be written \(.+\)\. Name a folder"):
            publish(tmp_path / folder, url)
    assert ids(publish(tmp_path / "out", url)) == [["s1"]]


def test_half_written_files_of_the_dead_are_swept_away(url, tmp_path):
    store_with(url, shown("s1"))
    publish(tmp_path, url)
    old, young = tmp_path / ".a.1.tmp", tmp_path / ".b.2.tmp"
    for path, age in ((old, 2 * batches.STALE), (young, 0)):
        path.touch()
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    publish(tmp_path, url)
    assert not old.exists() and young.exists()


def test_the_whole_log_is_what_all_batches_say(url, tmp_path):
    store_with(url, shown("s1"), shown("s2"), reaction("a", "s2"))
    publish(tmp_path / "out", url)
    store_with(url, reaction("b", "s1"), shown("s3"), reaction("c", "s9"), reaction("d", "s3", "edit", final="끝"))  # two wait
    with open_store(url) as store:
        found = store.log()
        assert found["event_id"].to_list() == ["a", "b", "s1", "s2", "s3"]
        store.claim()
        assert store.log().equals(found)
        assert (store.status().n_claimed, store.status().n_waiting) == (2, 2)
    publish(tmp_path / "out", url)
    assert read_events(tmp_path / "out").equals(found)


def test_a_store_is_only_made_by_events(url, tmp_path):
    for use in (Store.status, Store.claim, Store.batches, Store.log):
        with (
            open_store(url) as store,
            pytest.raises(InputError, match="field 'MEMOZY_FEEDBACK': holds no feedback yet"),
        ):
            use(store)
    with pytest.raises(InputError, match="holds no feedback yet"):
        publish(tmp_path / "out", url)
    assert not list(tmp_path.iterdir())


def test_a_newer_store_is_refused_and_an_older_one_is_brought_up_to_date(url, monkeypatch):
    def add_a_column(db):
        db.exec_driver_sql("ALTER TABLE feedback_batches ADD COLUMN note TEXT")

    store_with(url, shown("s1"))
    with pytest.MonkeyPatch.context() as later:
        later.setattr(schema, "UPGRADES", (add_a_column,))
        for _ in range(2):  # once only
            with open_store(url) as store:
                assert store.status().n_new == 1
                with store._reading() as db:
                    assert db.exec_driver_sql("SELECT note FROM feedback_batches").all() == []
    with (
        open_store(url) as store,
        pytest.raises(InputError, match="its schema is 2, this one knows 1. Update memozy-rl"),
    ):
        store.record(**shown("s2"))


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("feedback.sqlite", "is no URL of SQLite or PostgreSQL"),
        ("mysql://app:sesame@db/feedback", "is no URL of SQLite or PostgreSQL"),
        ("postgresql+psycopg2://app:sesame@db/feedback", "is no URL of SQLite or PostgreSQL"),
        ("postgresql://app:sesame@db:port/feedback", "is no URL of SQLite or PostgreSQL"),
        ("sqlite:////tmp/feedback.sqlite?timeout=sesame", r"sqlite:////tmp/feedback\.sqlite, .*has an option whose value"),
        ("sqlite://", "names no file, so that what is recorded would be lost"),
        ("sqlite:///file:feedback?mode=memory&uri=true", "names no file"),
        ("postgresql://app:sesame@127.0.0.1:1/feedback?password=sesame", r"postgresql://127\.0\.0\.1:1/feedback, .*can't be used"),
        ("postgresql://app:sesame@db/feedback?nonsense=1", r"postgresql://db/feedback, .*can't be used"),
        ("sqlite:////nowhere/feedback.sqlite", "can't be used"),
    ],
)  # fmt: skip
def test_what_is_no_database_is_said_in_one_line_without_the_password(url, problem):
    with open_store(url) as store, pytest.raises(InputError, match=problem) as refused:
        store.record(**shown("s1"))
    assert "\n" not in str(refused.value) and "sesame" not in str(refused.value)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "f.sqlite").write_text("event_id,shown_id\n" * 100)
    with (
        open_store(f"sqlite:///{tmp_path}/f.sqlite") as store,
        pytest.raises(InputError, match="file is not a database"),
    ):
        store.status()


def test_the_store_is_the_one_that_the_environment_names(tmp_path, monkeypatch):
    monkeypatch.delenv("MEMOZY_FEEDBACK", raising=False)
    assert open_store().url == "sqlite:///feedback.sqlite"
    monkeypatch.setenv("MEMOZY_FEEDBACK", f"sqlite:///{tmp_path}/app.sqlite")
    with open_store() as store:
        store.record(**shown("s1"))
    assert len(publish(tmp_path / "out")) == 1


def test_the_example_in_the_docs_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[3] / "docs/feedback.md").read_text(encoding="utf-8")
    (tmp_path / "allocation.json").write_text('{"salt": "s", "prompts": {"A": "a"}, "everyone": {"A": 1.0}}')
    monkeypatch.setenv("MEMOZY_FEEDBACK", "sqlite:///feedback.sqlite")
    for block in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(block, {})
    assert outcomes(read_events(tmp_path / "batches"))["kind"].to_list() == ["edit"]
