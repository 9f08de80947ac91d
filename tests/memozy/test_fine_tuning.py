import warnings

import pytest
import torch
from peft import PeftModel
from trl import SFTConfig, SFTTrainer

from memozy import fine_tuning, policies
from memozy.fine_tuning import fit, reply_logprobs
from memozy.weights import Weights
from tests.fakes import QUERIES, tiny_lm

REPLIES = ("바다를 보았다.", "오늘은 참 즐거웠다.")


@pytest.fixture
def base(tmp_path):
    tiny_lm().save(tmp_path / "base")
    return tmp_path / "base"


def rows(lm):
    asked = [(lm.chat_ids(QUERIES[i % 2]), lm.reply_ids(REPLIES[i % 2] + " 길" * (i % 3))) for i in range(24)]
    return [{"input_ids": p + r, "labels": [-100] * len(p) + r} for p, r in asked]


def start(base, dropout=0.0):
    policy = policies.start(str(base), Weights(), rank=4, seed=0)
    for module in policy.lm.model.modules():
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = dropout
    return policy


def trained(policy, work, steps=6, **changes):
    work.mkdir(exist_ok=True)
    given = {"batch_size": 4, "micro_batch": 4, "learning_rate": 1e-2, "seed": 3, "logged": {"loss": "loss"}} | changes
    curve = fit(SFTTrainer, SFTConfig, policy.lm, rows(policy.lm), stage="test", steps=steps, work=work, **given)
    return policy, curve


def adapter(policy):
    assert isinstance(policy.lm.model, PeftModel)
    return {n: p.detach().clone() for n, p in policy.lm.model.named_parameters() if p.requires_grad}


class Killed(BaseException):
    pass


def test_the_loss_is_that_of_the_replies_alone(base, tmp_path):
    policy = start(base)
    given = rows(policy.lm)
    first = [given[i] for i in fine_tuning._order(len(given), 4, 3)]
    replies = [[t for t in r["labels"] if t != -100] for r in first]
    said = reply_logprobs(policy.lm, [r["input_ids"][: -len(t)] for r, t in zip(first, replies, strict=True)], replies)
    _, curve = trained(policy, tmp_path / "work", steps=1)
    assert curve[0]["loss"] == pytest.approx(-said.sum().item() / sum(map(len, replies)), rel=1e-5)


def test_killed_it_ends_bit_for_bit_as_if_it_had_not_been(base, tmp_path, monkeypatch):
    straight, expected = trained(start(base, dropout=0.2), tmp_path / "straight")
    monkeypatch.setattr(fine_tuning, "KEEP_EVERY", 0.0)

    def kill(progress, n=1, **numbers):
        if len(told) == 3:
            raise Killed
        told.append(numbers)

    told = []
    with monkeypatch.context() as patch:
        patch.setattr(fine_tuning.Progress, "advance", kill)
        with pytest.raises(Killed):
            trained(start(base, dropout=0.2), tmp_path / "work")
    monkeypatch.setattr(fine_tuning, "KEEP_EVERY", 1e9)
    resumed, curve = trained(start(base, dropout=0.2), tmp_path / "work")
    assert curve == expected and [row["step"] for row in curve] == [1, 2, 3, 4, 5, 6]
    for name, p in adapter(straight).items():
        assert torch.equal(p, adapter(resumed)[name]), name
    again, curve = trained(start(base, dropout=0.2), tmp_path / "work")  # nothing is left to do
    assert curve == expected and all(torch.equal(p, adapter(again)[n]) for n, p in adapter(straight).items())
    assert {p.suffix for p in (tmp_path / "work").rglob("*") if p.is_file()} == {".safetensors"}


def test_a_step_is_the_same_however_its_batch_is_split(base, tmp_path):
    whole, _ = trained(start(base), tmp_path / "a", steps=3)
    split, _ = trained(start(base), tmp_path / "b", steps=3, micro_batch=1)
    for name, p in adapter(whole).items():
        torch.testing.assert_close(p, adapter(split)[name], atol=1e-4, rtol=1e-3)


def test_it_prints_progress_alone_and_tells_nobody(base, tmp_path, capfd, monkeypatch):
    import huggingface_hub.utils._telemetry as telemetry

    sent = []
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(telemetry.constants, "is_offline_mode", lambda: False)
    monkeypatch.setattr(telemetry._TELEMETRY_QUEUE, "put", sent.append)
    policy = start(base)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # they would go to the terminal
        capfd.readouterr()
        trained(policy, tmp_path / "work", steps=2)
    told = capfd.readouterr()
    assert told.err == "" and sent == []
    assert [line.startswith("… test: ") for line in told.out.splitlines()] == [True] * len(told.out.splitlines())


def test_the_rate_never_is_0_and_goes_on_where_it_was():
    rates = []
    for done in (0, 7):
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = fine_tuning._schedule(optimizer, 20, done)
        seen = []
        for _ in range(done, 20):
            seen.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        rates.append(seen)
    assert rates[1] == rates[0][7:]
    assert rates[0][:2] == [0.5, 1.0] and 0 < rates[0][-1] < 0.02


def test_every_row_comes_once_before_any_comes_again():
    order = fine_tuning._order(10, 25, 0)
    assert sorted(order[:10]) == sorted(order[10:20]) == list(range(10))
    assert order[:10] != order[10:20] and len(order) == 25


def test_log_likelihoods_are_sums_over_the_reply_alone():
    lm = tiny_lm()
    prompts, replies = [[5, 6, 7], [8]], [[9, lm.eos_id], [4, 3, 2]]
    alone = []
    for prompt, reply in zip(prompts, replies, strict=True):
        logp = torch.log_softmax(lm.model(torch.tensor([prompt + reply])).logits[0], -1)
        alone.append(sum(logp[len(prompt) - 1 + k, t].item() for k, t in enumerate(reply)))
    torch.testing.assert_close(reply_logprobs(lm, prompts, replies), torch.tensor(alone).double(), atol=1e-4, rtol=1e-5)
