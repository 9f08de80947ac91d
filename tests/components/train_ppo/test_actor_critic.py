import numpy as np
import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)  # fmt: skip

from components.train_ppo.actor_critic import ActorCritic
from components.train_ppo.batching import Rollouts
from memozy.generation import generate
from memozy.modeling import LanguageModel
from memozy.policies import ADAPTER
from memozy.records import InputError
from tests.fakes import QUERIES, tiny_lm, tokenizer
from tests.ppo import policy_of


def rollouts(actor, n=6, temperature=1.0, max_new_tokens=16):
    queries = [actor.lm.chat_ids(QUERIES[i % 2]) for i in range(n)]  # ragged on purpose
    rng = torch.Generator().manual_seed(1)
    replies = generate(actor.lm, queries, max_new_tokens=max_new_tokens, temperature=temperature, rng=rng, value=actor.value)
    return Rollouts.pack(queries, replies.tokens), replies


def everything(rows):
    return rows.batch(torch.arange(len(rows.starts)))


SIZE = {"hidden_size": 32, "num_hidden_layers": 4, "intermediate_size": 64, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "initializer_range": 0.2}  # fmt: skip
FAMILIES = {
    "llama": lambda v: tiny_lm(layers=4).model,
    "gemma2": lambda v: Gemma2ForCausalLM(Gemma2Config(vocab_size=v, sliding_window=4, final_logit_softcapping=2.0, **SIZE)),
    "gemma3": lambda v: Gemma3ForCausalLM(Gemma3TextConfig(vocab_size=v, sliding_window=4, sliding_window_pattern=2, **SIZE)),
    "qwen3": lambda v: Qwen3ForCausalLM(Qwen3Config(vocab_size=v, **SIZE)),
    "granite": lambda v: GraniteForCausalLM(GraniteConfig(vocab_size=v, logits_scaling=4.0, **SIZE)),
    "gpt2": lambda v: GPT2LMHeadModel(GPT2Config(vocab_size=v, n_embd=32, n_layer=4, n_head=4, n_positions=64)),
}  # fmt: skip


def of_family(name, **kwargs):
    torch.manual_seed(0)
    model = FAMILIES[name](len(tokenizer())).eval().requires_grad_(False)
    return ActorCritic(policy_of(LanguageModel(model, tokenizer()), taught=True), **kwargs)


@pytest.mark.parametrize("family", FAMILIES)
def test_log_probs_are_the_models_own_in_every_family(family):
    actor = of_family(family)
    batch = everything(rollouts(actor)[0])
    logits = actor.model(input_ids=batch.ids).logits / 0.7
    expected = logits.log_softmax(-1).gather(2, batch.ids.roll(-1, 1)[..., None])[..., 0]  # of the next token [b, T]
    logp, _ = actor(batch, 0.7)
    for i, n in enumerate(batch.mask.sum(1).int().tolist()):
        q = batch.states[i, 0]
        torch.testing.assert_close(logp[i, :n], expected[i, q : q + n], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_cached_trunk_gives_the_same_values_and_gradients(family):
    """What comes from states kept since the update began is what a whole forward gives: ragged rows, uneven groups."""
    actor = of_family(family, top_layers=2)
    torch.nn.init.normal_(actor.value_head.weight)
    rows, _ = rollouts(actor)
    batch = rows.batch(torch.tensor([4, 1, 2]))
    below = actor.below(rows, [[0, 3, 5], [1], [2, 4]])
    assert below.shape == (len(rows.tokens), 32)
    found = []
    for kept in (None, below):
        logp, values = actor(batch, 0.8, kept)
        (logp.sum() + (values**2).sum()).backward()
        gradients = {n: p.grad.clone() for n, p in actor.trained().items()}
        actor.zero_grad()
        with actor.reference():
            reference = actor(batch, 0.8, kept)[0].detach()
        found.append({"logp": logp, "values": values, "reference": reference, **gradients})
    whole, cached = found
    assert len(whole) > 3 and any(g.abs().max() > 1e-3 for n, g in whole.items() if "lora_B" in n)
    for name, value in whole.items():
        torch.testing.assert_close(cached[name], value, atol=1e-4, rtol=1e-4, msg=name)


def test_only_the_top_layers_train():
    actor = of_family("llama", top_layers=1)
    names = actor.trained()
    assert {n.split("layers.")[1][0] for n in names if "lora_" in n} == {"3"} and "value_head.weight" in names
    with pytest.raises(InputError, match="4 layers.*'top_layers'|'top_layers'.*4 layers"):
        of_family("llama", top_layers=4)


def test_a_family_whose_logits_are_something_else_is_refused():
    class Doubled(LlamaForCausalLM):
        def forward(self, *args, **kwargs):
            out = super().forward(*args, **kwargs)
            out.logits = 2 * out.logits
            return out

    lm = tiny_lm()
    lm.model = Doubled(lm.model.config).eval()
    with pytest.raises(InputError, match="'llama'.*logits of this family"):
        ActorCritic(policy_of(lm))


def test_a_family_whose_layers_pass_on_more_than_states_is_refused_to_cut():
    class Skipping(LlamaForCausalLM):
        """Its last layer reads the first one's result too."""

        def __init__(self, config):
            super().__init__(config)
            first, last = self.model.layers[0], self.model.layers[-1]
            first.register_forward_hook(lambda m, args, out: setattr(self, "early", args[0]))
            last.register_forward_pre_hook(lambda m, args: (args[0] + self.early, *args[1:]))

    lm = tiny_lm(layers=3)
    lm.model = Skipping(lm.model.config).eval()
    ActorCritic(policy_of(lm))
    lm.model = Skipping(lm.model.config).eval()
    with pytest.raises(InputError, match="'top_layers', value 'llama'"):
        ActorCritic(policy_of(lm), top_layers=1)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("merged", [False, True])
def test_training_log_probs_equal_those_captured_while_generating(temperature, merged):
    actor = ActorCritic(policy_of(tiny_lm(), taught=True))
    if merged:
        with actor.merged():
            rows, replies = rollouts(actor, temperature=temperature)
    else:
        rows, replies = rollouts(actor, temperature=temperature)
    logp, _ = actor(everything(rows), temperature)
    for row, captured in zip(logp.detach(), replies.logprobs, strict=True):
        assert np.abs(row[: len(captured)].numpy() - captured).max() < 1e-5 / temperature  # which divides rounding too


@pytest.mark.parametrize("family", FAMILIES)
def test_training_values_equal_those_captured_while_generating(family):
    actor = of_family(family)
    torch.nn.init.normal_(actor.value_head.weight)
    with actor.merged():
        rows, replies = rollouts(actor)
    _, values = actor(everything(rows), 1.0)
    for row, captured in zip(values.detach(), replies.values, strict=True):
        np.testing.assert_allclose(row[: len(captured)].numpy(), captured, atol=1e-4)  # of values up to 10


def test_merged_weights_say_what_the_adapter_says_and_leave_no_trace():
    actor = ActorCritic(policy_of(tiny_lm(), taught=True))
    before = {n: p.clone() for n, p in actor.model.state_dict().items()}
    ids = torch.tensor([actor.lm.chat_ids(QUERIES[1])])
    apart = actor.model(ids).logits
    with actor.merged():
        weights = actor.model.state_dict()
        changed = [n for n in before if "base_layer" in n and not torch.equal(before[n], weights[n])]
        torch.testing.assert_close(actor.model(ids).logits, apart, atol=1e-4, rtol=1e-4)
    assert len(changed) == 14  # seven maps in each of two layers
    assert all(torch.equal(before[n], p) for n, p in actor.model.state_dict().items())
    assert torch.equal(actor.model(ids).logits, apart)


def test_padding_changes_nothing():
    """A row's log-probs and values are the same alone and beside longer rows."""
    actor = ActorCritic(policy_of(tiny_lm(), taught=True))
    torch.nn.init.normal_(actor.value_head.weight)
    rows, _ = rollouts(actor)
    logp, values = actor(everything(rows), 1.0)
    for i, n in enumerate(rows.responses.tolist()):
        alone_logp, alone_values = actor(rows.batch(torch.tensor([i])), 1.0)
        torch.testing.assert_close(alone_logp[0], logp[i, :n], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(alone_values[0], values[i, : n + 1], atol=1e-5, rtol=1e-5)


def test_left_padding_changes_no_reply():
    """Decoding pads on the left: a row's tokens and log-probs are those it has alone."""
    lm = policy_of(tiny_lm(), taught=True).lm
    queries = [lm.chat_ids(q) for q in QUERIES]
    draw = {"max_new_tokens": 8, "temperature": 1.0}
    both = generate(lm, queries, rng=torch.Generator().manual_seed(0), **draw)
    for i in (0, 1):
        alone = generate(lm, queries, rng=torch.Generator().manual_seed(0), rows=slice(i, i + 1), **draw)
        assert alone.tokens[0] == both.tokens[i]
        np.testing.assert_allclose(alone.logprobs[0], both.logprobs[i], atol=1e-5)


def test_the_reference_is_the_policy_as_it_was():
    actor = ActorCritic(policy_of(tiny_lm(), taught=True))
    rows, _ = rollouts(actor)
    before = actor(everything(rows), 1.0)[0].detach()
    trained = list(actor.trained())
    with torch.no_grad():
        for p in actor.trained().values():
            p.add_(0.1)
    with actor.reference():
        assert list(actor.trained()) == ["value_head.weight", "value_head.bias"]
        torch.testing.assert_close(actor(everything(rows), 1.0)[0].detach(), before)
    assert (actor(everything(rows), 1.0)[0] - before).abs().max() > 1e-2
    assert list(actor.trained()) == trained


def test_only_the_policys_adapter_and_the_value_head_are_trained():
    names = ActorCritic(policy_of(tiny_lm())).trained()
    assert len(names) == 30  # two matrices in each of seven maps in each of two layers; the head's weight and bias
    assert all(f".{ADAPTER}." in n or n.startswith("value_head.") for n in names)
