import polars as pl
import pytest
from pydantic import ValidationError

from components.train_dpo.config import Config
from components.train_dpo.pairs import gather, hold_out
from memozy.records import OVERSAMPLED, PAIRS, InputError, write, write_jsonl

TEMPLATE = "{place}, {people}, {mood}, {photo}: 일기를 써 줘."
TEXTS = {  # context -> (text, rating, split)
    "c1": [("바다를 보았다", 1.0, "train"), ("산에 올랐다", 0.5, "train"), ("강을 건넜다", 0.25, "train")],
    "c2": [("노을이 졌다", 0.0, "train"), ("새벽에 떠났다", 0.0, "train")],
    "c3": [("별을 세었다", 1.0, "test"), ("잠이 들었다", -1.0, "test")],
    "c4": [("혼자 걸었다", -1.0, "train")],
}


@pytest.fixture
def files(tmp_path):
    contexts = [
        {"context_id": c, "place": f"{c}의 곳", "people": "친구", "mood": "기쁨", "photo": "사진"} for c in TEXTS
    ]
    write_jsonl(contexts, tmp_path / "contexts.jsonl")
    write_jsonl([{"prompt_id": "p", "template": TEMPLATE, "origin": "incumbent"}], tmp_path / "prompts.jsonl")
    rows = [{"diary_id": f"{c}.{n}", "group_id": c, "context_id": c, "text": text, "rating": rating, "n_raters": 1, "split": split, "copies": 1}
            for c, several in TEXTS.items() for n, (text, rating, split) in enumerate(several)]  # fmt: skip
    write(pl.DataFrame(rows), tmp_path / "oversampled", OVERSAMPLED)
    return tmp_path


def diaries(files, **changes):
    environment = {
        "task": "response/diary",
        "contexts": str(files / "contexts.jsonl"),
        "prompts": str(files / "prompts.jsonl"),
    }
    return Config.model_validate({"environment": environment} | changes)


def judged(pairs):
    return sorted(zip(pairs["chosen"], pairs["rejected"], strict=True))


def test_ratings_give_pairs_of_one_context_that_differ_enough_and_no_test_rows(files):
    pairs = gather(diaries(files, source="ratings"), files / "oversampled", None)
    assert judged(pairs) == [
        ("바다를 보았다", "강을 건넜다"),
        ("바다를 보았다", "산에 올랐다"),
    ]  # 0.5 and 0.25 are a tie
    assert set(pairs["prompt"]) == {"c1의 곳, 친구, 기쁨, 사진: 일기를 써 줘."}
    closer = gather(diaries(files, source="ratings", least_margin=0.25), files / "oversampled", None)
    assert len(closer) == 3


def test_a_context_that_nobody_knows_is_refused(files):
    write_jsonl([{"context_id": "x", "place": "a", "people": "b", "mood": "c", "photo": "d"}], files / "contexts.jsonl")
    with pytest.raises(
        InputError, match="field 'context_id', value 'c1': is in none of .*contexts.jsonl.* 2 of 2 pairs"
    ):
        gather(diaries(files, source="ratings"), files / "oversampled", None)


def test_rankings_name_a_prompt_or_a_context_and_none_is_linked_to_a_test_row(files):
    lines = [{"context_id": "c2", "ranked": ["가나다", "라마바"]}, {"prompt": "써 줘", "ranked": ["하나", ["둘", "셋"]]},
             {"prompt": "써 줘", "chosen": "별을 세었다", "rejected": "넷"}, {"context_id": "c3", "chosen": "다섯", "rejected": "여섯"}]  # fmt: skip
    write_jsonl(lines[1:3], files / "prompted.jsonl")
    write_jsonl(lines, files / "rankings.jsonl")
    pairs = gather(
        diaries(files, source="rankings", rankings=str(files / "rankings.jsonl")), files / "oversampled", None
    )
    assert judged(pairs) == [("가나다", "라마바")]  # all of the prompt that has a test text is linked to it
    alone = gather(diaries(files, source="rankings", rankings=str(files / "rankings.jsonl")), None, None)
    assert len(alone) == 5 and alone["prompt"].null_count() == 0
    other = Config(source="rankings", rankings=str(files / "rankings.jsonl"))
    with pytest.raises(InputError, match="pair 1.1.*has no prompt that it answers"):
        gather(other, None, None)


def test_sampled_pairs_or_none(files):
    sampled = files / "pairs"
    write_jsonl([{"prompt": "써 줘", "chosen": "가", "rejected": "나", "margin": 0.4}], sampled)
    assert judged(gather(Config(), None, sampled)) == [("가", "나")]
    sampled.write_text("")
    with pytest.raises(InputError, match="holds no pairs.*Switch sample_and_filter on"):
        gather(Config(), None, sampled)
    with pytest.raises(InputError, match="field 'dpo.source', value 'sampled': its artifact is not there"):
        gather(Config(), None, None)


@pytest.mark.parametrize(
    "wrong", [{"source": "rankings"}, {"rankings": "f"}, {"source": "ratings"}, {"batch_size": 16, "micro_batch": 5}]
)
def test_settings_that_do_not_fit_together(wrong):
    with pytest.raises(ValidationError):
        Config.model_validate(wrong)


def frame(*rows):
    given = [{"pair_id": str(n), "group_id": g, "chosen": a, "rejected": b} for n, (g, a, b) in enumerate(rows)]
    return pl.DataFrame(given, schema=PAIRS.dtypes)


@pytest.mark.parametrize("seed", range(5))
def test_no_text_and_with_many_prompts_no_prompt_is_on_both_sides(seed):
    few = frame(*[("one prompt", f"a{i // 2}", f"b{i}") for i in range(40)])  # two by two they share a text
    held, train = hold_out(few, 0.2, seed)
    assert len(held) == 8 and len(train) == 32
    assert not set(held["chosen"]) & set(train["chosen"])
    many = frame(*[(f"prompt {i // 4}", f"a{i}", f"b{i}") for i in range(40)])
    held, train = hold_out(many, 0.2, seed)
    assert len(held) == 8 and not set(held["group_id"]) & set(train["group_id"])
    assert held.equals(hold_out(many, 0.2, seed)[0])
    assert len(hold_out(frame(*[("g", "same", f"b{i}") for i in range(10)]), 0.2, seed)[0]) == 0
