import json

import pytest
import torch

from memozy import policies
from memozy.modeling import LanguageModel
from memozy.records import InputError
from memozy.weights import Weights
from tests.fakes import QUERIES, tiny_lm


@pytest.fixture
def base(tmp_path):
    tiny_lm().save(tmp_path / "base")
    return tmp_path / "base"


def logits(lm):
    return lm.model(torch.tensor([lm.chat_ids(QUERIES[1])])).logits


def moved(base, rank=4):
    """A policy whose adapter says something of its own."""
    policy = policies.start(str(base), Weights(), rank=rank, seed=0)
    torch.manual_seed(1)
    for name, p in policy.lm.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(p, std=0.05)
    policy.queries = list(QUERIES)
    return policy


def test_a_fresh_adapter_changes_nothing_and_is_all_that_trains(base):
    policy = policies.start(str(base), Weights(), rank=4, seed=0)
    assert torch.equal(logits(policy.lm), logits(LanguageModel.load(base)))
    trained = [n for n, p in policy.lm.model.named_parameters() if p.requires_grad]
    assert trained and all("lora_" in n and policies.ADAPTER in n for n in trained)


def test_saved_and_loaded_it_says_the_same_and_holds_no_base_weights(base, tmp_path):
    policy = moved(base)
    policies.save(policy, tmp_path / "policy", "# A card", merge=True)
    again = policies.load(tmp_path / "policy")
    assert torch.equal(logits(again.lm), logits(policy.lm)) and again.queries == list(QUERIES) and again.base == policy.base
    assert not torch.equal(logits(policy.lm), logits(LanguageModel.load(base)))
    torch.testing.assert_close(logits(LanguageModel.load(tmp_path / "policy/merged")), logits(policy.lm), atol=1e-4, rtol=1e-4)
    written = {str(p.relative_to(tmp_path / "policy")) for p in (tmp_path / "policy").rglob("*.safetensors")}
    assert written == {"adapter/adapter_model.safetensors", "merged/model.safetensors"}
    assert (tmp_path / "policy/README.md").read_text() == "# A card"


def test_a_policy_can_be_started_from_another_and_trains_on(base, tmp_path):
    policies.save(moved(base, rank=2), tmp_path / "policy", "")
    again = policies.start(str(tmp_path / "policy"), Weights(), rank=8, seed=5)
    assert torch.equal(logits(again.lm), logits(moved(base, rank=2).lm))
    assert all(p.requires_grad == ("lora_" in n) for n, p in again.lm.model.named_parameters())
    assert again.lm.model.peft_config[policies.ADAPTER].r == 2


def test_another_base_in_the_old_ones_place_is_refused(base, tmp_path):
    policies.save(moved(base), tmp_path / "policy", "")
    tiny_lm(seed=3).save(base)
    with pytest.raises(InputError, match="is not the base this policy was trained on"):
        policies.load(tmp_path / "policy")


def test_what_does_not_read_back_is_not_saved_as_done(base, tmp_path, monkeypatch):
    policy = moved(base)
    whole = policies._save_adapter

    def spoilt(policy, folder):
        whole(policy, folder)
        from safetensors.torch import load_file, save_file

        file = folder / "adapter_model.safetensors"
        save_file({name: 2 * t for name, t in load_file(file).items()}, file)

    monkeypatch.setattr(policies, "_save_adapter", spoilt)
    with pytest.raises(RuntimeError, match="nats a token from what was trained"):
        policies.save(policy, tmp_path / "policy", "")


def test_samples_take_the_queries_in_turn_and_depend_on_the_seed_alone(base, tmp_path):
    policies.save(moved(base), tmp_path / "policy", "")
    settings = {"max_new_tokens": 6, "temperature": 1.0}
    drawn = policies.sample(tmp_path / "policy", 4, seed=3, **settings)
    assert drawn == policies.sample(tmp_path / "policy", 4, seed=3, **settings)
    assert drawn != policies.sample(tmp_path / "policy", 4, seed=4, **settings)
    assert drawn != policies.sample(tmp_path / "policy", 4, seed=3, queries=["바다"], **settings)


def test_a_chat_template_of_the_settings_is_kept_with_the_policy(base, tmp_path):
    weights = Weights(chat_template="{% for m in messages %}Q: {{ m['content'] }} A:{% endfor %}")
    policies.save(policies.start(str(base), weights, 2, 0), tmp_path / "policy", "")
    lm = policies.load(tmp_path / "policy").lm
    assert lm.tokenizer.decode(lm.chat_ids("바다")) == "Q: 바다 A:"


def test_foreign_code_needs_a_pinned_revision(base):
    with pytest.raises(ValueError, match="40 hex"):
        Weights(remote_code=True, revision="main")
    assert Weights(remote_code=True, revision="a" * 40).remote_code
    with pytest.raises(InputError, match="four bits"):
        policies.start(str(base), Weights(four_bit=True), 2, 0)


def test_a_policy_holds_nothing_pickled_and_says_its_base(base, tmp_path):
    policies.save(moved(base), tmp_path / "policy", "")
    kept = json.loads((tmp_path / "policy/policy.json").read_text())
    assert kept["model"] == str(base) and len(kept["digest"]) == 64
    assert {p.suffix for p in (tmp_path / "policy").rglob("*") if p.is_file()} <= {".json", ".jsonl", ".md", ".safetensors", ".jinja"}
