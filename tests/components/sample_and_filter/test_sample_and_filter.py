"""The stage with real parts: the embedded diary writer and prompt policy, and a reward model of the micro-world."""

import json

import pytest

from components.sample_and_filter.config import Config
from components.sample_and_filter.stage import run
from memozy.environments.config import EnvironmentConfig
from memozy.llm import LLMConfig
from memozy.records import INSTRUCTIONS, SLOTS, InputError, read_jsonl, write_jsonl


def diaries(data, **changes) -> Config:
    environment = EnvironmentConfig(task="response/diary", contexts=str(data / "contexts.jsonl"), n_contexts=40,
                                    prompts=str(data / "prompts.jsonl"))  # fmt: skip
    given = {
        "model": str(data / "models/writer"),
        "environment": environment,
        "n_queries": 6,
        "samples": 4,
        "batch_size": 10,
    }
    return Config(**(given | changes))


def outputs(folder):
    folder.mkdir()
    (folder / "work").mkdir()
    return {"kept": folder / "kept", "pairs": folder / "pairs", "work": folder / "work"}


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def whole(data, reward, tmp_path_factory):
    """Config, outputs and result of a run that nobody killed."""
    out = outputs(tmp_path_factory.mktemp("whole") / "out")
    return diaries(data), out, run(diaries(data), reward=reward, **out)


def test_the_kept_are_each_querys_best_and_better_than_chance(whole):
    config, out, result = whole
    samples, kept = rows(out["work"] / "samples.jsonl"), read_jsonl(out["kept"], INSTRUCTIONS).to_dicts()
    assert len(samples) == result.metrics["samples"] == 24
    able = [s for s in samples if s[4] and not s[5]]
    best = {s[0]: max(o[3] for o in able if o[0] == s[0]) for s in able}
    scores = {(s[1], s[2]): s[3] for s in samples}
    assert [scores[k["instruction"], k["output"]] for k in kept] == [best[i] for i in sorted(best)]
    assert len({k["instruction"] for k in kept}) == len(kept) == 6  # as many contexts
    assert result.metrics["score_kept"] > result.metrics["score_random"] + 0.05
    assert result.metrics["score_samples"] == pytest.approx(sum(s[3] for s in samples) / 24)


def test_pairs_tell_by_how_much_the_best_beats_the_worst(whole):
    config, out, result = whole
    scores = {(s[1], s[2]): s[3] for s in rows(out["work"] / "samples.jsonl")}
    pairs = rows(out["pairs"])
    assert len(pairs) == result.metrics["pairs"] > 0
    for pair in pairs:
        margin = scores[pair["prompt"], pair["chosen"]] - scores[pair["prompt"], pair["rejected"]]
        assert pair["margin"] == margin >= config.margin


def test_killed_while_writing_a_batch_it_ends_with_the_same_bytes(whole, reward, tmp_path):
    config, out, result = whole
    again = outputs(tmp_path / "out")
    cut = (out["work"] / "samples.jsonl").read_bytes()
    lines = cut.splitlines(keepends=True)
    (again["work"] / "samples.jsonl").write_bytes(b"".join(lines[:13]) + lines[13][:20])
    assert run(config, reward=reward, **again) == result
    assert [again[name].read_bytes() for name in ("kept", "pairs")] == [
        out[name].read_bytes() for name in ("kept", "pairs")
    ]
    assert (again["work"] / "samples.jsonl").read_bytes() == cut


def test_a_batch_that_was_finished_is_not_sampled_again(whole, reward, tmp_path):
    config, out, _ = whole
    again = outputs(tmp_path / "out")
    lines = (out["work"] / "samples.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    known = json.loads(lines[0])[:2] + ["전에 쓴 일기다.", 1.0, True, False]
    (again["work"] / "samples.jsonl").write_text("".join([json.dumps(known) + "\n", *lines[1:20]]), encoding="utf-8")
    run(config, reward=reward, **again)
    assert rows(again["kept"])[0]["output"] == "전에 쓴 일기다."


def test_what_ran_out_of_tokens_is_never_kept(data, reward, tmp_path):
    with pytest.raises(InputError, match=r"least_score.*none of 8 responses is finished.*best scores -1.00.*Lower it"):
        run(diaries(data, max_new_tokens=3, n_queries=2), reward=reward, **outputs(tmp_path / "out"))


def test_prompts_are_scored_by_the_diaries_written_by_them(data, reward, tmp_path):
    write_jsonl(
        [{"query": q} for q in ("사진 일기를 쓰는 모델에게 줄 프롬프트를 써 주세요.",)], tmp_path / "queries.jsonl"
    )
    environment = EnvironmentConfig(task="prompt/diary", contexts=str(data / "contexts.jsonl"), n_contexts=10)
    llm = LLMConfig(model=str(data / "models/writer"))
    config = Config(model=str(data / "models/policy"), environment=environment, llm=llm, queries=str(tmp_path / "queries.jsonl"),
                    n_queries=2, samples=8, keep=3)  # fmt: skip
    out = outputs(tmp_path / "out")
    result = run(config, reward=reward, **out)
    kept = rows(out["kept"])
    assert 1 <= len(kept) <= 6 and len({k["output"] for k in kept}) == len(kept)
    assert all("{" + slot + "}" in k["output"] for k in kept for slot in SLOTS)
    assert result.metrics["score_kept"] > result.metrics["score_samples"]


def test_switched_off_it_hands_on_nothing(tmp_path):
    out = outputs(tmp_path / "out")
    run(Config(enabled=False), reward=None, **out)
    assert out["kept"].read_bytes() == out["pairs"].read_bytes() == b""
