from collections import Counter

import polars as pl
import pytest

from annotation.items import Item, assigned, name_fault, rated_twice, read, shuffled, to_rank
from memozy import records
from memozy.records import InputError

DIARY = {
    "diary_id": "d1",
    "context_id": "c1",
    "prompt_id": "A",
    "generator": "model-x",
    "text": " 바다에 갔다.\n좋았다. ",
}


def items(n, context=lambda n: f"c{n}"):
    return [Item(f"d{k}", (f"글 {k}",), {"context_id": context(k)}, {}) for k in range(n)]


def test_an_item_holds_nothing_of_who_wrote_it(table):
    [item] = read(table([DIARY]))
    assert item == Item("d1", ("바다에 갔다.\n좋았다.",), {"context_id": "c1"}, {})
    assert "model-x" not in repr(item) and "'A'" not in repr(item)


def test_contexts_and_photos_come_from_a_table_of_their_own(table, tmp_path):
    photo = tmp_path / "p.png"
    photo.write_bytes(b"\x89PNG")
    contexts = table(
        [{"context_id": "c1", "place": "해운대", "mood": "기쁨", "people": None, "image_path": str(photo)}],
        "contexts.jsonl",
    )
    [item] = read(table([DIARY]), contexts)
    assert item.about == {"place": "해운대", "mood": "기쁨"} and item.image == photo
    with pytest.raises(InputError, match=r"diaries.jsonl, row 2, field 'context_id', value 'c9': no such context"):
        read(table([DIARY, {**DIARY, "diary_id": "d2", "context_id": "c9"}]), contexts)


def test_a_file_of_ratings_holds_each_diary_once(table):
    assert [item.id for item in read(table([DIARY, {**DIARY, "rater_id": "kim"}, {**DIARY, "diary_id": "d2"}]))] == [
        "d1",
        "d2",
    ]


def test_a_runs_artifacts_are_read_as_they_are(tmp_path):
    whole = {**DIARY, "image_id": "p1", "cost_usd": 0.0, "created_at": "x"}
    records.write(pl.DataFrame([whole]), tmp_path / "diaries", records.DIARIES)
    records.write(
        pl.DataFrame([{"context_id": "c1", "place": "해운대", "people": "친구", "mood": "기쁨"}]),
        tmp_path / "contexts",
        records.CONTEXTS,
    )
    [item] = read(tmp_path / "diaries", tmp_path / "contexts")
    assert item.keys == {"context_id": "c1", "image_id": "p1"} and item.about == {
        "place": "해운대",
        "people": "친구",
        "mood": "기쁨",
    }


@pytest.mark.parametrize("row, problem", [
    ({**DIARY, "diary_id": " "}, r"row 2, field 'diary_id': is empty"),
    ({**DIARY, "text": ""}, r"row 2, field 'text': is empty"),
    ({**DIARY, "text": "다른 글"}, r"row 2, field 'diary_id', value 'd1': has another text in an earlier row"),
])  # fmt: skip
def test_what_cannot_be_rated_is_said_with_its_place(table, row, problem):
    with pytest.raises(InputError, match=problem):
        read(table([DIARY, row]))


def test_orders_differ_by_rater_and_new_items_upset_none():
    few, many = items(20), items(40)
    kim = [item.id for item in shuffled(few, 0, "kim")]
    assert sorted(kim) == sorted(item.id for item in few) and kim != [item.id for item in few]
    assert kim != [item.id for item in shuffled(few, 0, "lee")] and kim != [item.id for item in shuffled(few, 1, "kim")]
    assert [item.id for item in shuffled(many, 0, "kim") if item in few] == kim


@pytest.mark.parametrize("share, n", [(0, 0), (0.15, 6), (1, 40)])
def test_a_share_is_rated_twice(share, n):
    assert len(rated_twice(items(40), share, 0)) == n


def test_every_item_goes_to_one_rater_and_the_share_to_another_one_too():
    raters = ["kim", "lee", "park"]
    own = assigned(items(60), raters, 0.2, seed=4)
    seen = Counter(item.id for mine in own.values() for item in mine)
    assert len(seen) == 60 and {name for name, n in seen.items() if n == 2} == rated_twice(items(60), 0.2, 4)
    assert all(len(set(mine)) == len(mine) for mine in ([item.id for item in each] for each in own.values()))
    assert all(20 <= len(mine) <= 28 for mine in own.values())  # 20 each, and 12 second ones between three
    assert [item.id for item in assigned(items(60), ["kim"], 0.2, 4)["kim"]] == [
        item.id for item in shuffled(items(60), 4, "kim")
    ]


def test_outputs_of_a_context_are_ranked_together():
    many = [Item(f"d{k}", (f"글 {k}",), {"context_id": "many"}, {}) for k in range(14)]
    same = [
        Item(f"s{k}", (text,), {"image_id": "same"}, {}) for k, text in enumerate(["같은 글", " 같은 글", "다른 글"])
    ]
    alone = [
        Item("x", ("혼자",), {"context_id": "alone"}, {}),
        Item("y", ("쌍",), {"context_id": "twin"}, {}),
        Item("z", ("쌍 ",), {"context_id": "twin"}, {}),
    ]
    (first, second), left_out = to_rank([*many, *same, *alone], seed=0)
    assert (first.id, len(first.texts), left_out) == ("many", 9, 2)
    assert (second.id, second.keys, {text.strip() for text in second.texts}) == (
        "same",
        {"image_id": "same"},
        {"같은 글", "다른 글"},
    )
    assert to_rank(many, seed=0)[0] == [first] and to_rank(many, seed=1)[0] != [first]


@pytest.mark.parametrize("name", ["", " kim", "../kim", ".kim", "a" * 61, "a\nb", "a/b"])
def test_a_name_that_no_file_could_have(name):
    assert name_fault(name) and not name_fault("김 민지")
    assert name_fault("kim", ["kim"]) == "stands twice"
