import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from components.train_ppo.lora import fuse
from tests.fakes import tiny_lm

IDS = torch.tensor([[1, 2, 3, 4, 5], [9, 8, 7, 6, 5]])


def adapted(model: nn.Module, dtype=torch.float32, **changes) -> nn.Module:
    """With two adapters that both say something."""
    settings = LoraConfig(r=3, lora_alpha=5, target_modules="all-linear", task_type="CAUSAL_LM", **changes)
    peft = get_peft_model(model.to(dtype), settings, adapter_name="policy").eval()
    peft.add_adapter("other", settings)
    torch.manual_seed(0)
    for name, p in peft.named_parameters():
        if "lora_" in name:
            nn.init.normal_(p, std=0.1)
    return peft


def outcome(model: nn.Module) -> dict[str, torch.Tensor]:
    """Logits, and the gradients of a sum of their squares."""
    logits = model(input_ids=IDS).logits.float()
    model.zero_grad()
    (logits**2).mean().backward()
    return {"logits": logits.detach()} | {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def gpt2() -> nn.Module:
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=16)).eval()


@pytest.mark.parametrize("adapter", ["policy", "other"])
@pytest.mark.parametrize("make", [lambda: tiny_lm().model, gpt2], ids=["llama", "gpt2"])
def test_values_and_gradients_are_pefts(make, adapter):
    model = adapted(make())
    model.set_adapter(adapter)
    before = outcome(model)
    fuse(model)
    after = outcome(model)
    assert before.keys() == after.keys() and sum("lora_A" in name for name in after) >= 7
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_bfloat16_differs_from_peft_by_rounding_only():
    model = adapted(tiny_lm().model, torch.bfloat16)
    before = outcome(model)
    fuse(model)
    after = outcome(model)
    for name, value in before.items():
        apart = (after[name] - value).norm() / value.norm()
        assert apart < 0.05 and after[name].dtype == value.dtype, (name, apart)


def test_without_and_with_merged_adapters_it_is_the_base():
    model = adapted(tiny_lm().model)
    with model.disable_adapter():
        bare = model(input_ids=IDS).logits
    said = model(input_ids=IDS).logits
    fuse(model)
    with model.disable_adapter():
        torch.testing.assert_close(model(input_ids=IDS).logits, bare)
    model.merge_adapter(["policy"])
    torch.testing.assert_close(model(input_ids=IDS).logits, said, rtol=1e-4, atol=1e-4)


def test_other_kinds_of_layers_are_left_alone():
    model = adapted(tiny_lm().model, use_dora=True)
    before = outcome(model)
    fuse(model)
    assert not any("forward" in vars(m) for m in model.modules() if isinstance(m, LoraLayer))
    torch.testing.assert_close(outcome(model)["logits"], before["logits"])
