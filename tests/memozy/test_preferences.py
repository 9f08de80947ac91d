"""What a file of preferences says, and what is refused."""

import json

import pytest

from memozy.preferences import read_pairs
from memozy.records import PAIRS, InputError
from tests.workbooks import write_xlsx


@pytest.fixture
def file(tmp_path):
    def written(*lines) -> str:
        path = tmp_path / "pairs.jsonl"
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
        return path

    return written


def judged(frame) -> list[tuple[str, str]]:
    return list(zip(frame["chosen"], frame["rejected"], strict=True))


def test_a_ranked_list_gives_every_pair_but_ties(file):
    found = read_pairs(file({"group_id": "g", "prompt": "쓰기", "ranked": ["가", ["나", "다"], "라"]}))
    assert judged(found) == [("가", "나"), ("가", "다"), ("가", "라"), ("나", "라"), ("다", "라")]
    assert set(found["group_id"]) == {"g"} and set(found["prompt"]) == {"쓰기"}
    assert found.columns == list(PAIRS.fields) and found["pair_id"].to_list() == ["1.1", "1.2", "1.3", "1.4", "1.5"]


@pytest.mark.parametrize("k", range(2, 10))
def test_k_outputs_give_k_choose_2_pairs(file, k):
    outputs = [str(i) for i in range(k)]
    found = judged(read_pairs(file({"ranked": outputs})))
    assert len(found) == len(set(found)) == k * (k - 1) // 2
    assert all(int(better) < int(worse) for better, worse in found)


def test_both_forms_in_one_file_and_texts_are_cleaned(file):
    decomposed = "\u1100\u1161"  # 가, as two jamo
    found = read_pairs(file({"chosen": f" {decomposed}\n", "rejected": ""}, {"ranked": ["b", "a\u2028c"]}))
    assert judged(found) == [("가", ""), ("b", "a\u2028c")]


def test_groups_are_named_or_of_one_prompt_or_of_one_line(file):
    pair = {"chosen": "a", "rejected": "b"}
    lines = [pair | extra for extra in ({"group_id": "x"}, {"image_id": "x", "context_id": "y"}, {"context_id": "x"}, {"prompt": "p"}, {"prompt": " p"},
                                        {"prompt": "q"}, {}, {})]  # fmt: skip
    groups = read_pairs(file(*lines))["group_id"].to_list()
    assert groups[0] == groups[1] == groups[2] == "x"
    assert groups[3] == groups[4]
    assert len(set(groups)) == 5


def test_people_may_disagree_but_one_person_counts_once(file):
    a_over_b, b_over_a = {"group_id": "g", "chosen": "a", "rejected": "b"}, {"group_id": "g", "ranked": ["b", "a"]}
    assert judged(read_pairs(file(a_over_b, b_over_a, a_over_b))) == [("a", "b"), ("b", "a"), ("a", "b")]
    lines = [a_over_b | {"rater_id": "kim"}, b_over_a | {"rater_id": "lee"}, a_over_b | {"rater_id": "kim"},
             b_over_a | {"rater_id": "kim"}, a_over_b | {"rater_id": "kim", "group_id": "h"}]  # fmt: skip
    assert read_pairs(file(*lines))["pair_id"].to_list() == ["1.1", "2.1", "4.1", "5.1"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"ranked": ["a"]}, "field 'ranked', value ['a']: has 1 outputs. Rank 2 to 9"),
        ({"ranked": [*"abcdefghij"]}, "has 10 outputs"),
        ({"ranked": ["a", ["b", " a"]]}, "field 'ranked', value 'a': has an output twice"),
        ({"ranked": [["a", "b"]]}, "all outputs tie"),
        ({"ranked": ["a", True]}, "field 'ranked', value True: is not text"),
        ({"ranked": ["a", [["b"]]]}, "is not text"),
        ({"ranked": "a"}, "is not a list"),
        ({"chosen": True, "rejected": "b"}, "field 'chosen', value True: is not text"),
        ({"chosen": "a", "rejected": None}, "field 'rejected', value 'null': is not text"),
        ({"chosen": "a", "rejected": "a "}, "field 'rejected', value 'a': is the same as 'chosen'"),
        ({"chosen": "a"}, "has chosen. Give 'chosen' and 'rejected'"),
        ({"chosen": "a", "rejected": "b", "ranked": ["a", "b"]}, "has chosen and rejected and ranked"),
        ({"best": "a"}, "has neither form"),
        ({"chosen": "a", "rejected": "b", "group_id": 7}, "field 'group_id', value 7: is not text"),
        ([], "is not an object"),
    ],
)
def test_what_is_refused_is_said_with_its_row(file, line, said):
    path = file({"chosen": "a", "rejected": "b"}, line)
    with pytest.raises(InputError) as error:
        read_pairs(path)
    assert str(error.value).startswith(f"{path}, row 2") and said in str(error.value)


def test_files_without_judgements_are_refused(file, tmp_path):
    with pytest.raises(InputError, match="holds no rows"):
        read_pairs(file())
    with pytest.raises(InputError, match="no such file"):
        read_pairs(tmp_path / "absent.jsonl")
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"chosen": "a"\n', encoding="utf-8")
    with pytest.raises(InputError, match="row 1, value .*is not JSON"):
        read_pairs(broken)


def test_rankings_come_from_a_sheet_one_row_an_output(tmp_path):
    rows = [("p1", "a", "가", 1), ("p1", "b", "나", 1), ("p1", "a", "다", 3), ("p1", "a", "나", 1.5), ("p1", "b", "가", 2), ("p1", "a", "라", 3)]
    (tmp_path / "a.csv").write_text("image_id,rater_id,text,rank\n" + "".join(f"{p};{r};{t};{n}\n".replace(";", ",") for p, r, t, n in rows), encoding="cp949")
    found = read_pairs(tmp_path / "a.csv")
    assert judged(found) == [("가", "나"), ("가", "다"), ("가", "라"), ("나", "다"), ("나", "라"), ("나", "가")]
    assert found["pair_id"].to_list() == ["1.1", "1.2", "1.3", "1.4", "1.5", "2.1"] and set(found["group_id"]) == {"p1"}
    book = write_xlsx(tmp_path / "b", [["image_id", "rater_id", "text", "rank"], *map(list, rows)])
    assert read_pairs(book).equals(found)


def test_pairs_come_from_a_sheet(tmp_path):
    (tmp_path / "a.csv").write_text("prompt\tchosen\trejected\n쓰기\t가\t나\n쓰기\t나\t가\n", encoding="utf-16")
    assert judged(read_pairs(tmp_path / "a.csv")) == [("가", "나"), ("나", "가")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("text,score\n가,1\n", "columns are missing"),
        ("text,rank\n가,1\n나,first\n", "row 2, field 'rank', value 'first': is not a rank"),
        ("text,rank\n가,1\n나,\n", "row 2, field 'rank'.*: is not a rank"),
        ("text,rank\n가,1\n나,1\n", "row 1, field 'ranked'.*: says nothing"),
        ("text,rank\n,1\n나,2\n", "row 1, field 'ranked', value 'null': is not text"),
        ("chosen,rejected\n가,\n", "row 1, field 'rejected', value 'null': is not text"),
    ],
)
def test_a_sheet_that_says_no_preference_is_refused(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_pairs(tmp_path / "a.csv")
