"""The ledger: what is reserved, settled, lost; who may not go on; and two processes at once."""

import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from memozy import ledger
from memozy.ledger import Answer, Total, open_ledger
from memozy.records import InputError

ROOT = Path(__file__).resolve().parent.parent.parent
HI = Answer("안녕", 0.25, 3, 5)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


def reserve(book, key, worst_usd=1.0, budget_usd=10.0, **more):
    return book.reserve(key, model="m", worst_usd=worst_usd, budget_usd=budget_usd, **more)


def money(book):
    total = book.total()
    return total.settled_usd, total.lost_usd, total.reserved_usd


def test_a_call_is_reserved_then_settled_and_its_answer_known(own_ledger):
    assert reserve(own_ledger, "a")
    assert money(own_ledger) == (0, 0, 1.0) and own_ledger.known(["a"]) == {}
    own_ledger.settle("a", HI)
    assert own_ledger.total() == Total(1, 0.25, 0, 0, 3, 5)
    assert own_ledger.known(["b", "a"]) == {"a": HI}


def test_a_refused_attempt_costs_nothing_and_one_of_unknown_end_its_worst_case(own_ledger):
    reserve(own_ledger, "a")
    own_ledger.release("a")
    assert money(own_ledger) == (0, 0, 0)
    reserve(own_ledger, "a")
    own_ledger.lose("a")
    assert money(own_ledger) == (0, 1.0, 0) and own_ledger.total().spent_usd == 1.0
    reserve(own_ledger, "a")
    own_ledger.settle("a", HI)
    assert money(own_ledger) == (0.25, 1.0, 0) and own_ledger.total().calls == 1


def test_where_a_repeated_call_is_billed_once_nothing_is_lost_in_the_end(own_ledger):
    reserve(own_ledger, "a", idempotent=True)
    own_ledger.lose("a")
    reserve(own_ledger, "a", idempotent=True)  # the dollar that may be lost is set aside already
    assert money(own_ledger) == (0, 1.0, 0)
    own_ledger.release("a")  # refused this time: the first attempt may still have been billed
    assert money(own_ledger) == (0, 1.0, 0)
    reserve(own_ledger, "a", idempotent=True)
    own_ledger.settle("a", HI, idempotent=True)
    assert money(own_ledger) == (0.25, 0, 0)


@pytest.mark.parametrize(("idempotent", "lost", "reserved"), [(False, 1.0, 1.0), (True, 1.0, 0.0)])
def test_what_a_killed_process_had_reserved_may_have_been_billed(url, idempotent, lost, reserved):
    with open_ledger(url, "s") as killed:
        reserve(killed, "a", idempotent=idempotent)
    with open_ledger(url, "s") as book:
        assert money(book) == (0, 0, 1.0)
        reserve(book, "a", idempotent=idempotent)
        assert money(book) == (0, lost, reserved)
        book.settle("a", HI, idempotent)
        assert money(book) == (0.25, 0 if idempotent else 1.0, 0)


def test_no_call_starts_that_could_pass_the_budget(url):
    with open_ledger(url, "before") as book:
        reserve(book, "a")
        book.settle("a", HI)
        reserve(book, "b")
    with open_ledger(url, "after") as book:  # another process, that has nothing under way
        assert reserve(book, "c", 0.75, 2.0)  # 0.25 + 1 + 0.75: to the cent
        book.release("c")
        said = r"llm.budget_usd', value 1.9: the next call may cost \$0.7500, .* \$0.2500 are spent and \$1.0000 reserved"
        with pytest.raises(InputError, match=said + ".*Raise it and run again: nothing is paid twice"):
            reserve(book, "c", 0.75, 1.9)
        with pytest.raises(InputError, match="budget_usd"):  # a price, and nobody said how much is too much
            reserve(book, "c", 0.75, None)
        assert reserve(book, "free", 0.0, None)
    for of_stage, of_call in ((5.0, 2.0), (2.0, 5.0)):  # of the stage's limit and the call's the smaller one holds
        with open_ledger(url, "after", budget_usd=of_stage) as book, pytest.raises(InputError, match="value 2.0"):
            reserve(book, "d", 3.0, of_call)
    with open_ledger(url, "after", budget_usd=5.0) as book:
        assert reserve(book, "d", 3.0, None)


def test_what_fits_when_others_of_the_process_have_ended_is_to_wait_for(own_ledger):
    reserve(own_ledger, "a", 1.0, 1.5)
    assert not reserve(own_ledger, "b", 1.0, 1.5)
    assert own_ledger.total().reserved_usd == 1.0
    with pytest.raises(InputError, match="budget_usd"):  # it would not even fit alone
        reserve(own_ledger, "c", 1.6, 1.5)
    own_ledger.settle("a", HI)
    assert reserve(own_ledger, "b", 1.0, 1.5)


def test_free_answers_are_kept_and_rows_are_told_by_stage_and_model(url):
    with open_ledger(url, "one") as book:
        book.keep("local", {f"k{n}": Answer(f"{n}", 0.0, 1, 2) for n in range(1200)})
        book.keep("local", {"k0": Answer("later"), "new": Answer("new")})
        assert len(book.known([f"k{n}" for n in range(1200)])) == 1200 and book.known(["k0"])["k0"].text == "0"
        reserve(book, "paid")
        book.settle("paid", HI)
    with open_ledger(url, "two") as book:
        reserve(book, "other")
        assert book.total("one").settled_usd == 0.25 and book.total("two").reserved_usd == 1.0
        rows = [(r["stage"], r["model"], r["calls"], r["settled_usd"], r["output_tokens"]) for r in book.by_stage_and_model()]
    assert rows == [("one", "local", 1201, 0, 2400), ("one", "m", 1, 0.25, 5), ("two", "m", 0, 0, 0)]


def test_the_book_is_the_sum_of_the_calls_whatever_happens(tmp_path):
    rng, file = random.Random(0), tmp_path / "ledger.sqlite"
    with open_ledger(f"sqlite:///{file}", "s") as book:
        for _ in range(150):
            key, idempotent = rng.choice("abcde"), rng.random() < 0.5
            reserve(book, key, rng.random(), 1e9, idempotent=idempotent)
            end = rng.choice([book.lose, book.release, lambda key: None,
                              lambda key, i=idempotent: book.settle(key, Answer("x", rng.random()), i)])  # fmt: skip
            end(key)
    with sqlite3.connect(file) as db:
        [[committed]] = db.execute("SELECT committed_usd FROM book")
        [[summed]] = db.execute("SELECT SUM(cost_usd + lost_usd + reserved_usd) FROM calls")
    assert committed == pytest.approx(summed, abs=1e-9) and summed > 1


PROCESS = """
import sys, time
from pathlib import Path
from memozy.ledger import Answer, open_ledger
from memozy.records import InputError
url, name, go = sys.argv[1:]
with open_ledger(url, name) as book:
    book.total()
    Path(go + name).touch()
    while not Path(go).exists():
        time.sleep(0.001)
    for n in range(60):  # all there is, for one of them
        try:
            book.reserve(name, model="m", worst_usd=6.0, budget_usd=6.0)
        except InputError:
            continue
        assert book.total().reserved_usd <= 6.0
        book.release(name)
    Path(go + name + "2").touch()
    while not (Path(go + "a2").exists() and Path(go + "b2").exists()):
        time.sleep(0.001)
    for n in range(45):
        key = f"{name}{n}"
        try:
            if n % 3 == 1:
                book.reserve(key, model="m", worst_usd=0.3, budget_usd=6.0)
                book.release(key)
            book.reserve(key, model="m", worst_usd=0.1, budget_usd=6.0)
        except InputError:
            continue
        before = book.total()
        assert before.spent_usd + before.reserved_usd <= 6.0 + 1e-9, before
        book.settle(key, Answer("x", 0.1))
"""


def test_two_processes_share_a_ledger_and_never_overspend(url, tmp_path):
    go = tmp_path / "go"
    both = [subprocess.Popen([sys.executable, "-c", PROCESS, url, name, str(go)], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
            for name in "ab"]  # fmt: skip
    while not all((tmp_path / f"go{name}").exists() for name in "ab"):
        assert all(p.poll() is None for p in both)
    go.touch()
    assert [p.wait() for p in both] == [0, 0]
    with open_ledger(url, "c") as book:
        total = book.total()
        assert total.settled_usd == pytest.approx(0.1 * total.calls)
        assert 50 <= total.calls <= 60  # of 90; a larger reservation of the other may have come in the way of some
        assert all(book.total(name).calls > 0 for name in "ab")


def test_another_version_is_not_written_to(url, tmp_path):
    with open_ledger(url, "s") as book:
        book.total()
    with sqlite3.connect(tmp_path / "ledger.sqlite") as db:
        db.execute("UPDATE book SET version = 7")
    with open_ledger(url, "s") as book, pytest.raises(InputError, match="MEMOZY_LEDGER'.*version 7 .* this is 1"):
        book.total()


def test_the_current_ledger_is_the_innermost_and_a_missing_file_is_no_ledger(url, tmp_path, own_ledger):
    assert ledger.current() is own_ledger
    with open_ledger(url, "s") as book:
        assert ledger.current() is book and not book.exists and not (tmp_path / "ledger.sqlite").exists()
        book.total()
        assert book.exists
    assert ledger.current() is own_ledger and open_ledger(url).exists
