"""The sequence model by itself: what it reads of a text, and that it comes back from disk as it was or not at all."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, BertConfig

from memozy import policies, weights
from memozy.records import InputError
from memozy.reward import sequence
from memozy.reward.sequence import SequenceScorer
from memozy.weights import Weights
from tests.fakes import tiny_lm, tokenizer

TEXTS = ["바다에 갔다.", "오늘 친구와 산에 다녀왔고 노을이 고왔다. 참 설렜다.", "가족과 길을 걸었다. " * 20, "", "빛", "산 강 길"]


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """A causal LM and an encoder, both without a head of their own."""
    folder = tmp_path_factory.mktemp("bases")
    tiny_lm().save(folder / "causal")
    torch.manual_seed(0)
    tok = tokenizer()
    config = BertConfig(vocab_size=len(tok), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                        intermediate_size=64, max_position_embeddings=128, pad_token_id=tok.pad_token_id)  # fmt: skip
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder / "encoder")
    tok.save_pretrained(folder / "encoder")
    return folder


def adapted(base, max_length: int = 64) -> SequenceScorer:
    """A scorer whose adapters and head are some other than the initial ones, as after training."""
    scorer = SequenceScorer.fresh(str(base), None, rank=4, max_length=max_length, seed=3)
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in scorer.model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape, generator=rng)
    return replace(scorer.merged(), scale=0.5, offset=0.25)


@pytest.mark.parametrize("kind", ["causal", "encoder"])
def test_it_says_the_same_after_a_reload_to_the_last_bit(bases, kind, tmp_path):
    scorer = adapted(bases / kind)
    said = scorer.predict(TEXTS)
    untrained = SequenceScorer.fresh(str(bases / kind), None, rank=4, max_length=64, seed=3).predict(TEXTS)
    assert np.abs((said - 0.25) / 0.5 - untrained).max() > 0.1, "the adapters matter"
    scorer.save(tmp_path)
    again = SequenceScorer.load(tmp_path)
    assert again.predict(TEXTS).tolist() == said.tolist()
    again.save(tmp_path / "copy")
    files = {p.name for p in tmp_path.iterdir() if p.is_file()}
    assert {"sequence.json", "adapter.safetensors", "tokenizer.json"} <= files
    assert all((tmp_path / "copy" / name).read_bytes() == (tmp_path / name).read_bytes() for name in files)


def test_loading_leaves_the_random_numbers_of_others_alone(bases, tmp_path):
    adapted(bases / "causal").save(tmp_path)
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    SequenceScorer.load(tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_what_is_saved_does_not_grow_with_the_base(bases, tmp_path):
    scorer = adapted(bases / "causal")
    scorer.save(tmp_path)
    trained = sum(p.numel() for p in scorer.model.parameters() if p.requires_grad)
    # rank 4, 2 layers; in + out of q, k, v, o, gate, up, down: 64, 48, 48, 64, 96, 96, 96; and a head of 32
    assert trained == 2 * 4 * (64 + 48 + 48 + 64 + 96 + 96 + 96) + 32
    assert (tmp_path / "adapter.safetensors").stat().st_size < 4 * trained + 10_000


def trained_policy(base):
    """A policy on `base` whose adapter says something else than the base, with a reference beside it."""
    policy = policies.start(str(base), Weights(), rank=2, seed=0)
    policy.lm.model.add_adapter("reference", policy.lm.model.peft_config[policies.ADAPTER])
    with torch.no_grad():
        for name, parameter in policy.lm.model.named_parameters():
            if "lora" in name:
                parameter += 0.1
    return policy


def test_upon_a_policys_own_base_weights_it_says_the_same_and_the_policy_too(bases, tmp_path, monkeypatch):
    adapted(bases / "causal").save(tmp_path)
    merged = SequenceScorer.load(tmp_path).predict(TEXTS)
    with monkeypatch.context() as patch:
        patch.setattr(SequenceScorer, "merged", lambda self: self)
        alone = SequenceScorer.load(tmp_path).predict(TEXTS).tolist()  # a copy of its own, as it will be upon another's
    policy = trained_policy(bases / "causal")
    ids = torch.tensor([policy.lm.chat_ids("빛")])
    trainable = {name for name, p in policy.lm.model.named_parameters() if p.requires_grad}
    said = policy.lm.model(ids).logits
    base = [p for name, p in policy.lm.model.get_base_model().base_model.named_parameters() if "lora" not in name]
    scorer = SequenceScorer.load(tmp_path, policy)
    assert scorer.predict(TEXTS).tolist() == alone
    assert alone == pytest.approx(merged, rel=1e-5, abs=1e-6)
    own = {p.data_ptr() for p in scorer.model.parameters()}
    assert len(base) == 2 * 9 + 2 and {p.data_ptr() for p in base} <= own  # 7 matrices and 2 norms a layer
    assert len(own - {p.data_ptr() for p in base}) == 2 * 7 * 2 + 2  # adapters, the head and its unused original
    assert torch.equal(policy.lm.model(ids).logits, said), "the policy is what it was"
    assert {name for name, p in policy.lm.model.named_parameters() if p.requires_grad} == trainable
    with torch.no_grad():  # nor does the reward move with what the policy learns
        for name, parameter in policy.lm.model.named_parameters():
            if "lora" in name:
                parameter += 0.5
    assert scorer.predict(TEXTS).tolist() == alone


def test_upon_another_base_or_precision_it_has_a_copy_of_its_own(bases, tmp_path):
    adapted(bases / "causal").save(tmp_path / "scorer")
    alone = SequenceScorer.load(tmp_path / "scorer").predict(TEXTS).tolist()
    tiny_lm(seed=1).save(tmp_path / "other")
    for model, dtype in ((tmp_path / "other", "float32"), (bases / "causal", "bfloat16")):
        policy = policies.start(str(model), Weights(dtype=dtype), rank=2, seed=0)
        assert SequenceScorer.load(tmp_path / "scorer", policy).predict(TEXTS).tolist() == alone


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_another_base_in_the_same_place_is_refused(bases, file, tmp_path):
    base = shutil.copytree(bases / "causal", tmp_path / "base")
    adapted(base).save(tmp_path / "scorer")
    if file == "config.json":  # the same weights, read otherwise
        config = json.loads((base / file).read_text())
        config["rope_parameters"]["rope_theta"] = 500.0
        (base / file).write_text(json.dumps(config))
    else:
        tiny_lm(seed=1).save(base)
    with pytest.raises(InputError, match=r"sequence.json, field 'base', value .*base': is not the base .* train again"):
        SequenceScorer.load(tmp_path / "scorer")


def test_a_missing_base_is_named_with_a_remedy(bases, tmp_path):
    base = shutil.copytree(bases / "causal", tmp_path / "base")
    adapted(base).save(tmp_path / "scorer")
    shutil.rmtree(base)
    with pytest.raises(InputError, match=r"field 'model', value .*base': no model can be loaded .*Put it there"):
        SequenceScorer.load(tmp_path / "scorer")
    base.symlink_to(bases / "causal")
    assert len(SequenceScorer.load(tmp_path / "scorer").predict(TEXTS)) == len(TEXTS)
    with pytest.raises(InputError, match="sequence.json: no such file"):
        SequenceScorer.load(tmp_path)


def test_pickled_weights_are_never_read(bases, tmp_path):
    base = shutil.copytree(bases / "causal", tmp_path / "base")
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    with pytest.raises(InputError, match="safetensors"):
        SequenceScorer.fresh(str(base), None, rank=4, max_length=64, seed=0)


def test_adapters_that_do_not_fit_are_refused(bases, tmp_path):
    from safetensors.torch import load_file, save_file

    adapted(bases / "causal").save(tmp_path)
    weights = load_file(tmp_path / "adapter.safetensors")
    weights.pop(next(name for name in weights if "lora_B" in name))
    save_file(weights, tmp_path / "adapter.safetensors")
    with pytest.raises(InputError, match="does not fit"):
        SequenceScorer.load(tmp_path)


@pytest.mark.parametrize("kind", ["causal", "encoder"])
def test_what_is_said_of_a_text_does_not_depend_on_its_company(bases, kind, monkeypatch):
    scorer = adapted(bases / kind)
    alone = np.array([scorer.predict([t])[0] for t in TEXTS])
    assert len(set(alone.round(6))) == len(TEXTS)
    order = [3, 0, 5, 2, 2, 4, 1]
    for budget in (1, 70, 10_000):
        monkeypatch.setattr(sequence, "TOKENS_PER_BATCH", {"cpu": budget, "cuda": budget})
        assert np.abs(scorer.predict([TEXTS[i] for i in order]) - alone[order]).max() < 1e-5
    scorer.tokenizer.padding_side = "left"
    assert np.abs(scorer.predict(TEXTS) - alone).max() < 1e-5


@pytest.mark.parametrize(("lost", "pad", "read"), [((), "<pad>", -1), (("pad",), "<unk>", -1), (("pad", "unk"), "</s>", -2)])
def test_a_causal_base_is_read_at_the_last_token_that_is_no_padding(bases, lost, pad, read, tmp_path):
    base = shutil.copytree(bases / "causal", tmp_path / "base")
    settings = json.loads((base / "tokenizer_config.json").read_text())
    for name in lost:  # as in many hub models, which have no token to pad with
        del settings[f"{name}_token"]
    (base / "tokenizer_config.json").write_text(json.dumps(settings))
    config = json.loads((base / "config.json").read_text()) | ({"pad_token_id": None} if lost else {})
    (base / "config.json").write_text(json.dumps(config))
    scorer = adapted(base)
    assert scorer.tokenizer.pad_token == pad
    llama = scorer.model.base_model.model
    by_hand = []
    for ids in scorer.token_ids(TEXTS):
        assert ids[-1] == scorer.tokenizer.eos_token_id
        with torch.no_grad():
            hidden = llama.model(input_ids=torch.tensor([ids])).last_hidden_state[0]  # no padding anywhere
        by_hand.append(0.25 + 0.5 * (llama.score.modules_to_save["default"].weight[0] @ hidden[max(read, -len(ids))]).item())
    assert scorer.predict(TEXTS) == pytest.approx(np.array(by_hand), abs=1e-5)


def test_no_more_than_max_length_tokens_are_read(bases):
    scorer = adapted(bases / "causal", max_length=16)
    ids = scorer.tokenizer(TEXTS[2])["input_ids"]
    assert len(ids) > 16 and scorer.token_ids([TEXTS[2]]) == [[*ids[:15], scorer.tokenizer.eos_token_id]]
    assert scorer.predict([TEXTS[2]]) == scorer.predict([TEXTS[2] * 50])
    assert adapted(bases / "encoder", max_length=10_000).max_length == 128, "as many positions as the base has"


def test_of_nothing_nothing_is_said(bases):
    said = adapted(bases / "causal").predict([])
    assert said.shape == (0,) and said.dtype == np.float64


def test_batches_are_of_like_lengths_and_within_the_budget():
    # 12 alone, though too long; then 5 and 4 padded to 10; then 3, 3, 2 padded to 9; then 1
    assert list(sequence._batches([3, 12, 5, 1, 3, 4, 2], 10)) == [[1], [2, 5], [0, 4, 6], [3]]


def test_importing_it_does_not_import_torch():
    code = "import sys, memozy.reward.sequence; print('torch' in sys.modules or 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_base_is_hashed_once_until_its_files_change(bases, tmp_path):
    base = shutil.copytree(bases / "causal", tmp_path / "base")
    weights._listed_digest.cache_clear()
    same = {SequenceScorer.fresh(str(base), None, rank=4, max_length=64, seed=s).base_digest for s in range(3)}
    assert len(same) == 1 and weights._listed_digest.cache_info()[:2] == (2, 1), "(hits, misses)"
    tiny_lm(seed=1).save(base)
    assert SequenceScorer.fresh(str(base), None, rank=4, max_length=64, seed=0).base_digest not in same
