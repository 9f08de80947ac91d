import numpy as np
import pytest
import torch

from components.train_ppo.config import Config
from components.train_ppo.policy import Policy, Tokens
from components.train_ppo.ppo import PPO
from memozy.modeling import generate
from tests.fakes import QUERIES, taught_lm, tiny_lm

SETTINGS = Config(rollouts=8, max_new_tokens=12, epochs=2, mini_batches=2, learning_rate=1e-2, lora_rank=4)


def length_score(texts, update):
    return np.array([min(1.0, len(t) / 40) for t in texts])


def trainer(config=SETTINGS, score=length_score):
    return PPO(Policy(tiny_lm(), config.lora_rank, config.seed), QUERIES, score, config)


def rollouts(policy, n=6, temperature=1.0, max_new_tokens=16):
    queries = [policy.lm.chat_ids(QUERIES[i % 2]) for i in range(n)]  # ragged on purpose
    rng = torch.Generator().manual_seed(1)
    return queries, generate(policy.lm, queries, max_new_tokens=max_new_tokens, temperature=temperature, rng=rng)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_training_log_probs_equal_those_captured_while_generating(temperature):
    policy = Policy(tiny_lm(), rank=4, seed=0).eval()
    queries, replies = rollouts(policy, temperature=temperature)
    with torch.no_grad():
        logp, _, _ = policy(Tokens.pack(queries, replies.tokens, policy.lm.pad_id), temperature)
    for row, captured in zip(logp, replies.logprobs, strict=True):
        assert np.abs(row[: len(captured)].numpy() - captured).max() < 1e-5


def test_reference_is_the_policy_before_training():
    ppo = trainer()
    queries, replies = rollouts(ppo.policy)
    tokens = Tokens.pack(queries, replies.tokens, ppo.policy.lm.pad_id)
    before = ppo.policy(tokens, 1.0)[0].detach()
    torch.testing.assert_close(ppo.policy.reference_logp(tokens, 1.0), before)
    for update in range(3):
        ppo.step(update)
    torch.testing.assert_close(ppo.policy.reference_logp(tokens, 1.0), before)
    assert (ppo.policy(tokens, 1.0)[0] - before).abs().max() > 1e-3


def test_first_update_starts_at_kl_zero_and_ratio_one():
    numbers, _ = trainer().step(0)
    assert abs(numbers["objective/kl"]) < 1e-4
    assert numbers["ppo/policy/first_ratio_deviation"] < 1e-4
    assert numbers["ppo/optimizer_steps"] == 4


def test_padding_changes_nothing():
    """A row's log-probs and values are the same alone and beside longer rows."""
    policy = Policy(tiny_lm(), rank=4, seed=0).eval()
    torch.nn.init.normal_(policy.value_head.weight)
    queries, replies = rollouts(policy)
    together = policy(Tokens.pack(queries, replies.tokens, policy.lm.pad_id), 1.0)
    for i in range(len(queries)):
        alone = policy(Tokens.pack(queries[i : i + 1], replies.tokens[i : i + 1], policy.lm.pad_id), 1.0)
        for a, b in zip(alone, together, strict=True):
            torch.testing.assert_close(a[0], b[i, : a.shape[1]], atol=1e-5, rtol=1e-5)


def test_a_reply_that_never_ended_scores_minus_one():
    config = SETTINGS.model_copy(update={"max_new_tokens": 6})
    ppo = PPO(Policy(taught_lm(), 4, 0), QUERIES, lambda texts, u: np.full(len(texts), 0.7), config)
    numbers, _ = ppo.step(0)
    expected = 0.7 * numbers["objective/eos_rate"] - (1 - numbers["objective/eos_rate"])
    assert 0 < numbers["objective/eos_rate"] < 1
    assert abs(numbers["objective/score"] - expected) < 1e-6


def test_ppo_learns_what_it_is_paid_for():
    """Paid 1 for a reply that names a friend and 0 else, the policy comes to name one nearly always."""
    config = SETTINGS.model_copy(update={"rollouts": 32, "kl_coef": 0.0, "stop_at_approx_kl": 1.0})
    named = lambda texts, update: np.array([float("친구" in t) for t in texts])  # noqa: E731
    ppo = PPO(Policy(taught_lm(), config.lora_rank, config.seed), QUERIES, named, config)
    scores = [ppo.step(u)[0]["objective/score"] for u in range(12)]
    assert scores[0] < 0.6 and np.mean(scores[-3:]) > 0.9, scores


def test_resumed_run_is_bit_identical():
    straight = trainer()
    rows = [straight.step(u)[0] for u in range(4)]
    first = trainer()
    for u in range(2):
        first.step(u)
    tensors, numbers = first.state()
    second = trainer()
    second.load_state({k: v.clone() for k, v in tensors.items()}, numbers)
    again = [second.step(u)[0] for u in (2, 3)]
    for a, b in zip(rows[2:], again, strict=True):
        assert {k: v for k, v in a.items() if "seconds" not in k} == {k: v for k, v in b.items() if "seconds" not in k}
    for name, p in straight.policy.trained().items():
        assert torch.equal(p, second.policy.trained()[name]), name


def test_only_adapter_and_value_head_are_trained():
    names = Policy(tiny_lm(), rank=4, seed=0).trained()
    assert names and all("lora_" in n or n.startswith("value_head") for n in names)
