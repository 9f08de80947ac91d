import math

import pytest
import torch

from components.train_ppo.gae import moments
from components.train_ppo.losses import (
    adapt_kl_coef,
    explained_variance,
    kl_k1,
    kl_k3,
    overlong_penalty,
    policy_loss,
    token_rewards,
    value_loss,
)

ONES = torch.ones(1, 2)


def test_policy_loss_clips_only_what_would_gain():
    logp = torch.log(torch.tensor([[1.5, 0.5]]))  # ratios 1.5 and 0.5 against old log-probs of 0
    old = torch.zeros(1, 2)
    # A>0: min(1.5, 1.2) = 1.2 and min(0.5, 0.8) = 0.5 -> -(1.7)/2
    assert math.isclose(policy_loss(logp, old, ONES, ONES, 0.2, 2).item(), -0.85, rel_tol=1e-6)
    # A<0: min(-1.5, -1.2) = -1.5 and min(-0.5, -0.8) = -0.8 -> 2.3/2
    assert math.isclose(policy_loss(logp, old, -ONES, ONES, 0.2, 2).item(), 1.15, rel_tol=1e-6)


def test_policy_loss_does_not_depend_on_the_micro_batch_split():
    torch.manual_seed(0)
    mask = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    logp, old, adv = torch.randn(3, 3), torch.randn(3, 3), torch.randn(3, 3)
    whole = policy_loss(logp, old, adv, mask, 0.2, 6)
    parts = sum(policy_loss(logp[i : i + 1], old[i : i + 1], adv[i : i + 1], mask[i : i + 1], 0.2, 6) for i in range(3))
    torch.testing.assert_close(whole, parts)


def test_value_loss_takes_the_worse_of_clipped_and_plain():
    # value moved 0 -> 1, clip 0.2 keeps 0.2; return 1: plain error 0, clipped 0.8² = 0.64 -> ½·0.64
    loss = value_loss(torch.tensor([[1.0]]), torch.tensor([[0.0]]), torch.tensor([[1.0]]), torch.ones(1, 1), 0.2, 1)
    assert math.isclose(loss.item(), 0.32, rel_tol=1e-6)


def test_score_lands_on_the_last_token_and_kl_on_every_one():
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    logp = torch.tensor([[-1.0, -2.0, 0.0], [-1.0, -1.0, -1.0]])
    ref = torch.tensor([[-1.5, -1.0, 0.0], [-1.0, -1.0, -1.0]])
    rewards = token_rewards(torch.tensor([0.5, -1.0]), logp, ref, mask, 0.1)
    torch.testing.assert_close(rewards, torch.tensor([[-0.05, 0.6, 0.0], [0.0, 0.0, -1.0]]))


def test_kl_estimates_by_hand():
    logp, ref, mask = torch.tensor([[0.0, -1.0]]), torch.tensor([[-1.0, -1.0]]), ONES
    assert kl_k1(logp, ref, mask).tolist() == [1.0]
    assert math.isclose(kl_k3(logp, ref, mask).item(), math.exp(-1) - 1 + 1, rel_tol=1e-6)


def test_kl_estimates_agree_with_the_exact_kl():
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.3, 0.5])
    exact = (p * (p / q).log()).sum().item()
    draws = torch.multinomial(p, 200_000, replacement=True, generator=torch.Generator().manual_seed(0))[:, None]
    logp, ref, mask = p.log()[draws], q.log()[draws], torch.ones(len(draws), 1)
    assert abs(kl_k1(logp, ref, mask).mean().item() - exact) < 0.01
    assert abs(kl_k3(logp, ref, mask).mean().item() - exact) < 0.01


def test_kl_coefficient_moves_towards_the_target_by_at_most_a_fifth():
    assert math.isclose(adapt_kl_coef(0.1, kl=16.0, target=8.0, least=0.01), 0.12)
    assert math.isclose(adapt_kl_coef(0.1, kl=0.0, target=8.0, least=0.01), 0.08)
    assert math.isclose(adapt_kl_coef(0.1, kl=8.8, target=8.0, least=0.01), 0.11)
    assert adapt_kl_coef(0.1, kl=0.0, target=8.0, least=0.09) == 0.09


def test_overlong_responses_pay_linearly_up_to_one():
    lengths = torch.tensor([1, 60, 70, 80, 100])
    assert overlong_penalty(lengths, 60, 100).tolist() == [0.0, 0.0, -0.25, -0.5, -1.0]


def test_explained_variance_by_hand():
    returns, mask = torch.tensor([[1.0, 3.0, 99.0]]), torch.tensor([[1.0, 1.0, 0.0]])

    def explained(values):
        return explained_variance(moments(returns - values, mask), moments(returns, mask))

    assert explained(returns) == 1.0
    assert explained(torch.full_like(returns, 2.0)) == 0.0
    # values 1.5, 2.5: errors -0.5, 0.5 of variance 0.25; returns' variance is 1
    assert explained(torch.tensor([[1.5, 2.5, 0.0]])) == pytest.approx(0.75)
