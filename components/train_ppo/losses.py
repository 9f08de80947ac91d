"""PPO's losses, what a token earns and the KL terms around them, as pure functions. Shapes: B rollouts, R tokens.

The losses are sums over tokens divided by `n_tokens`, the token count of the whole mini-batch on all ranks: so the
gradients of its micro-batches add up to the gradient of the whole, however it is cut.
"""

import torch
from torch import Tensor

from components.train_ppo.gae import last_token, mean_and_variance


def policy_loss(
    logp: Tensor, old_logp: Tensor, advantages: Tensor, mask: Tensor, clip: float, n_tokens: float
) -> Tensor:
    """Clipped surrogate (Schulman et al. 2017, arXiv:1707.06347, eq. 7), a scalar to minimise.

        ρ_t = exp(logp_t - old_logp_t)        L = -1/n Σ min(ρ_t A_t, clip(ρ_t, 1-ε, 1+ε) A_t)

    The minimum takes away what a ratio outside 1±ε would gain, and leaves what it would lose: there the gradient is 0,
    or points back. All tensors [B, R]; clip is ε.
    """
    ratio = torch.exp((logp - old_logp) * mask)
    worse = torch.min(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)
    return -(worse * mask).sum() / n_tokens


def value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, clip: float, n_tokens: float
) -> Tensor:
    """½ max of the squared errors of the value and of the value kept within ±clip of the old one, per token; a scalar.

    L = 1/n Σ ½ max((V - G)², (V_old + clip(V - V_old, -ε, ε) - G)²). All tensors [B, R]; clip is ε, in units of reward.
    """
    kept = old_values + (values - old_values).clamp(-clip, clip)
    error = torch.max((values - returns) ** 2, (kept - returns) ** 2)
    return 0.5 * (error * mask).sum() / n_tokens


def token_rewards(scores: Tensor, logp: Tensor, ref_logp: Tensor, mask: Tensor, kl_coef: float) -> Tensor:
    """What each token earns, [B, R]: -β (logp - ref_logp), and the rollout's score [B] on its last token.

    The first term sums to -β times the k1 estimate of KL(policy ‖ reference) (Ziegler et al. 2019,
    arXiv:1909.08593, eq. 2): straying from the reference is paid for token by token, where it happens.
    """
    rewards = -kl_coef * (logp - ref_logp) * mask
    rewards[torch.arange(len(scores), device=scores.device), last_token(mask)] += scores
    return rewards


def overlong_penalty(lengths: Tensor, start: int, longest: int) -> Tensor:
    """0 up to `start` tokens, from there linearly down to -1 at `longest`: [B], for lengths [B].

    Yu et al. 2025 (DAPO), arXiv:2503.14476, eq. 13, with L_max = longest and L_cache = longest - start.
    """
    return ((start - lengths) / (longest - start)).clamp(-1, 0)


def kl_k1(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    """Nats per rollout, [B]: Σ_t d_t with d = logp - ref_logp; unbiased, may be negative (Schulman 2020)."""
    return ((logp - ref_logp) * mask).sum(dim=1)


def kl_k3(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    """Nats per rollout, [B]: Σ_t (e^{-d_t} - 1 + d_t) with d = logp - ref_logp; never negative (Schulman 2020).

    Unbiased too, token by token, and steadier than k1 while the two policies are close.
    """
    d = (logp - ref_logp) * mask
    return (torch.expm1(-d) + d).sum(dim=1)


def adapt_kl_coef(kl_coef: float, kl: float, target: float, least: float) -> float:
    """The next β: up by at most 20 % while KL is above its target, down by at most 20 % while below, never under `least`.

    β ← max(least, β (1 + clip(KL/target - 1, -0.2, 0.2))), Ziegler et al. 2019, §2.2, with K_β = 1. The
    floor keeps the first updates, whose KL is near 0, from switching the penalty off.
    """
    return max(least, kl_coef * (1 + min(0.2, max(-0.2, kl / target - 1))))


def explained_variance(errors: Tensor, returns: Tensor) -> float:
    """1 - Var(G - V) / Var(G): 1 is perfect, 0 as good as the mean, below it worse.

    errors, returns: the `moments` [3] of G - V and of G over the same tokens.
    """
    return float(1 - mean_and_variance(errors)[1] / mean_and_variance(returns)[1].clamp(min=1e-8))
