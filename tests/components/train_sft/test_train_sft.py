import json

import pytest
import torch

from components.train_sft.config import Config
from components.train_sft.stage import run
from memozy import fine_tuning, policies
from memozy.records import InputError, write_jsonl
from memozy.weights import Weights
from tests.fakes import QUERIES, tiny_lm

WORDS = "바다 산 강 길 하늘 바람 구름 나무 노을 별".split()


@pytest.fixture
def settings(tmp_path):
    """A random model, and rows that ask in two ways for words of one kind."""
    tiny_lm().save(tmp_path / "base")
    rows = [{"지시사항": QUERIES[i % 2], "입력": "", "출력": f"{a} {b} {c}"}
            for i, (a, b, c) in enumerate((a, b, c) for a in WORDS for b in WORDS for c in WORDS if a < b < c)]  # fmt: skip
    rows += [{"지시사항": QUERIES[0], "입력": "", "출력": " "}, rows[3]]
    write_jsonl(rows, tmp_path / "rows.jsonl")
    return {"model": str(tmp_path / "base"), "instructions": str(tmp_path / "rows.jsonl"), "quality": {"slots": ()}, "steps": 12,
            "batch_size": 8, "micro_batch": 8, "lora_rank": 4, "learning_rate": 2e-2}  # fmt: skip


def trained(folder, settings, kept=None, **changes):
    folder.mkdir(exist_ok=True)
    (folder / "work").mkdir(exist_ok=True)
    config = Config.model_validate(settings | changes)
    return run(config, kept=kept, sft=folder / "sft", quarantined=folder / "quarantined", work=folder / "work")


def adapter(folder):
    return (folder / "sft/adapter/adapter_model.safetensors").read_bytes()


def test_it_lowers_the_held_out_loss_and_says_what_it_was_taught(settings, tmp_path):
    kept = tmp_path / "kept.jsonl"
    write_jsonl(
        [{"instruction": QUERIES[0], "input": "", "output": o} for o in ("달 별 비", "비 눈 해", "비  눈 해.")], kept
    )
    result = trained(tmp_path / "run", settings, kept)
    m = result.metrics
    assert m["held_out_loss"] < 0.8 * m["held_out_loss_before"]
    assert (m["n_rows"], m["n_quarantined"], m["n_train"], m["n_held_out"], m["n_kept"]) == (122, 2, 108, 12, 2)
    assert m["n_instructions"] == 2 and m["evenness"] == pytest.approx(1, abs=0.01) and m["n_contradicting"] == 120
    assert [row["step"] for row in result.curves] == list(range(1, 13)) and result.curves[-1]["loss"] < result.curves[
        0
    ]["loss"]
    bad = [json.loads(line) for line in (tmp_path / "run/quarantined").read_text().splitlines()]
    assert [(b["row"], b["field"], b["reason"]) for b in bad] == [
        (121, "output", "is empty"),
        (122, "output", "says what row 4 says"),
    ]
    policy = policies.load(tmp_path / "run/sft")
    assert policy.queries == sorted(QUERIES)
    card = (tmp_path / "run/sft/README.md").read_text()
    assert f"{m['held_out_loss_before']:.3f}" in card and f"{m['held_out_loss']:.3f}" in card and "108 rows" in card


class Killed(BaseException):
    pass


def test_killed_it_ends_bit_for_bit(settings, tmp_path, monkeypatch):
    expected = trained(tmp_path / "straight", settings)
    monkeypatch.setattr(fine_tuning, "KEEP_EVERY", 0.0)

    def kill(progress, n=1, **numbers):
        progress.done += n
        if progress.done == 5:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(fine_tuning.Progress, "advance", kill)
        with pytest.raises(Killed):
            trained(tmp_path / "killed", settings)
    assert trained(tmp_path / "killed", settings) == expected
    assert adapter(tmp_path / "killed") == adapter(tmp_path / "straight")


def test_what_it_trains_on_is_what_the_policy_is_asked(settings, tmp_path, monkeypatch):
    """A chat template whose closing the policy never writes: TRL's own tokens would teach it."""
    template = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}</s>{% endfor %}{% if add_generation_prompt %}<나>{% endif %}"
    seen = []
    monkeypatch.setattr(fine_tuning, "fit", lambda *args, **_: seen.append(args) or [])
    trained(tmp_path / "run", settings, weights={"chat_template": template})
    lm, rows = seen[0][2:4]
    asked = [r["input_ids"][: r["labels"].count(-100)] for r in rows]
    assert {lm.tokenizer.decode(ids) for ids in asked} == {f"<user>{q}</s><나>" for q in QUERIES}
    assert all(ids in [lm.chat_ids(q) for q in QUERIES] for ids in asked)
    assert all([t for t in r["labels"] if t != -100] == r["input_ids"][r["labels"].count(-100) :] for r in rows)
    assert all(r["input_ids"][-1] == lm.eos_id for r in rows)


def test_switched_off_it_hands_on_what_it_got(settings, tmp_path):
    result = trained(tmp_path / "off", settings, enabled=False)
    fresh = policies.start(settings["model"], Weights(), 4, 0)
    ids = torch.tensor([fresh.lm.chat_ids(QUERIES[0])])
    off = policies.load(tmp_path / "off/sft")
    assert torch.equal(off.lm.model(ids).logits, fresh.lm.model(ids).logits) and off.queries == sorted(QUERIES)
    assert "held_out_loss" not in result.metrics
    trained(tmp_path / "on", settings, steps=3)
    trained(tmp_path / "again", settings, enabled=False, model=str(tmp_path / "on/sft"))
    assert adapter(tmp_path / "again") == adapter(tmp_path / "on")


def test_too_few_rows(settings, tmp_path):
    with pytest.raises(
        InputError, match="rows.jsonl: holds 120 rows that can be used: too few to train in batches of 120"
    ):
        trained(tmp_path / "run", settings, batch_size=120, micro_batch=120)


def test_no_model_there(settings, tmp_path):
    with pytest.raises(InputError, match="no model can be loaded from here"):
        trained(tmp_path / "run", settings, model=str(tmp_path / "nothing"))


def test_the_sample_data_is_fit_as_it_stands(data):
    from components.train_sft import quality
    from components.train_sft.instructions import read

    rows, faults = read(str(data / "instructions.jsonl"))
    sound, more = quality.check(rows, Config().quality)
    assert len(sound) == 600 and not faults and not more
