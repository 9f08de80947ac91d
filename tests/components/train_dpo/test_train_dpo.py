import math

import pytest
import torch

from components.train_dpo.config import Config
from components.train_dpo.stage import run
from memozy import fine_tuning, policies
from memozy.fine_tuning import reply_logprobs
from memozy.records import InputError, write_jsonl
from memozy.weights import Weights
from tests.fakes import QUERIES, tiny_lm

WORDS = "바다 산 강 길 하늘 바람 구름 나무 노을 별".split()
SETTINGS = {"steps": 12, "batch_size": 8, "micro_batch": 8, "learning_rate": 1e-2, "held_out": 0.2}


@pytest.fixture
def inputs(tmp_path):
    """A policy whose adapter says something of its own, and pairs: of three words those that end in 별 are preferred."""
    tiny_lm().save(tmp_path / "base")
    policy = policies.start(str(tmp_path / "base"), Weights(), rank=4, seed=0)
    torch.manual_seed(1)
    for name, p in policy.lm.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(p, std=0.02)
    policy.queries = list(QUERIES)
    policies.save(policy, tmp_path / "sft", "")
    pairs = [{"prompt": QUERIES[i % 2], "chosen": f"{a} {b} 별", "rejected": f"{b} {a} 길"}
             for i, (a, b) in enumerate((a, b) for a in WORDS[:-1] for b in WORDS[:-1] if a < b)]  # fmt: skip
    write_jsonl(pairs, tmp_path / "pairs")
    return {"sft": tmp_path / "sft", "pairs": tmp_path / "pairs"}


def trained(folder, inputs, **changes):
    folder.mkdir(exist_ok=True)
    (folder / "work").mkdir(exist_ok=True)
    config = Config.model_validate(SETTINGS | changes)
    return run(config, **inputs, oversampled=None, dpo=folder / "dpo", work=folder / "work")


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_it_prefers_what_was_preferred_on_pairs_it_never_saw(inputs, tmp_path):
    result = trained(tmp_path / "run", inputs)
    m = result.metrics
    assert (
        m["accuracy_before"] == 0.5
        and m["accuracy"] > 0.9
        and m["likelier"] >= m["likelier_before"]
        and m["margin"] > 0
    )
    assert (m["n_pairs"], m["n_train"], m["n_held_out"], m["n_too_long"]) == (36, 29, 7, 0)
    assert result.curves[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)  # π is π_ref at first
    assert result.curves[-1]["loss"] < 0.6 and result.curves[-1]["margin"] > 0 and len(result.curves) == 12
    dpo, sft = policies.load(tmp_path / "run/dpo"), policies.load(inputs["sft"])
    assert dpo.queries == sft.queries and dpo.base == sft.base
    assert list(dpo.lm.model.peft_config) == [policies.ADAPTER]
    assert f"{m['accuracy']:.1%} after" in (tmp_path / "run/dpo/README.md").read_text()


def test_the_first_gradient_is_that_of_the_paper(inputs, tmp_path):
    """Rafailov et al. 2023, eq. 7, by hand: at π = π_ref it is -β/2 ∇(log π(chosen) - log π(rejected)); AdamW's first
    step is the sign of it."""
    trained(tmp_path / "run", inputs, steps=1, batch_size=1, micro_batch=1, held_out=0.95, learning_rate=1e-3)
    before, after = policies.load(inputs["sft"]), policies.load(tmp_path / "run/dpo")
    from components.train_dpo.pairs import gather, hold_out

    config = Config.model_validate(SETTINGS | {"held_out": 0.95})
    _, train = hold_out(gather(config, None, inputs["pairs"]), 0.95, 0)
    first = train.row(fine_tuning._order(len(train), 1, 0)[0], named=True)
    lm = before.lm
    gap = 0.0
    for side, sign in (("chosen", 1), ("rejected", -1)):
        asked, reply = lm.chat_ids(first["prompt"]), lm.reply_ids(first[side])
        logp = torch.log_softmax(lm.model(torch.tensor([asked + reply])).logits[0], -1)
        gap = gap + sign * sum(logp[len(asked) - 1 + k, t] for k, t in enumerate(reply))
    gap.backward()
    later = dict(after.lm.model.named_parameters())
    agree = [(later[n] - p)[p.grad.abs() > 1e-4].sign() == p.grad[p.grad.abs() > 1e-4].sign()
             for n, p in lm.model.named_parameters() if p.requires_grad]  # fmt: skip
    assert torch.cat(agree).float().mean() > 0.999 and torch.cat(agree).numel() > 1000


class Killed(BaseException):
    pass


def test_killed_it_ends_bit_for_bit(inputs, tmp_path, monkeypatch):
    """Above all the reference is again the policy as it came, and not as the killed training left it."""
    expected = trained(tmp_path / "straight", inputs, steps=8)
    monkeypatch.setattr(fine_tuning, "KEEP_EVERY", 0.0)

    def kill(progress, n=1, **numbers):
        progress.done += n
        if progress.done == 5:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(fine_tuning.Progress, "advance", kill)
        with pytest.raises(Killed):
            trained(tmp_path / "killed", inputs, steps=8)
    assert trained(tmp_path / "killed", inputs, steps=8) == expected
    assert files(tmp_path / "killed/dpo") == files(tmp_path / "straight/dpo")


def test_metrics_are_those_of_the_policies_written(inputs, tmp_path):
    m = trained(tmp_path / "run", inputs, steps=4).metrics
    from components.train_dpo.pairs import gather, hold_out

    config = Config.model_validate(SETTINGS | {"steps": 4})
    held_out, _ = hold_out(gather(config, None, inputs["pairs"]), 0.2, 0)
    said = {}
    for name, folder in (("sft", inputs["sft"]), ("dpo", tmp_path / "run/dpo")):
        lm = policies.load(folder).lm
        asked = [lm.chat_ids(p) for p in held_out["prompt"]]
        said[name] = [
            reply_logprobs(lm, asked, [lm.reply_ids(t) for t in held_out[side]]) for side in ("chosen", "rejected")
        ]
    chosen, rejected = (
        [after - before for before, after in zip(said["sft"], said["dpo"], strict=True)][side] for side in (0, 1)
    )
    assert m["margin"] == pytest.approx(0.1 * (chosen - rejected).mean().item(), abs=1e-4)
    assert m["accuracy"] == pytest.approx((chosen > rejected).float().mean().item())
    assert m["likelier"] == pytest.approx((said["dpo"][0] > said["dpo"][1]).float().mean().item())


def test_switched_off_it_hands_the_policy_on(inputs, tmp_path):
    result = run(
        Config(enabled=False), sft=inputs["sft"], oversampled=None, pairs=None, dpo=tmp_path / "dpo", work=tmp_path
    )
    assert files(tmp_path / "dpo") == files(inputs["sft"]) and not result.metrics


def test_too_few_pairs(inputs, tmp_path):
    with pytest.raises(
        InputError, match="value 'sampled': gives 36 pairs, of which 7 can be held out and 29 trained on: too few"
    ):
        trained(tmp_path / "run", inputs, batch_size=32, micro_batch=32)
