"""PPO's losses and the KL terms around them, as pure functions. Shapes: B rollouts, T tokens.

The losses are sums over tokens divided by `n_tokens`, the token count of the whole mini-batch, so
that gradients do not depend on how a mini-batch is cut into micro-batches.
"""

import torch
from torch import Tensor


def policy_loss(
    logp: Tensor, old_logp: Tensor, advantages: Tensor, mask: Tensor, clip: float, n_tokens: float
) -> Tensor:
    """Clipped surrogate (Schulman et al. 2017, arXiv 1707.06347, eq. 7), a scalar to minimise.

        ρ_t = exp(logp_t - old_logp_t)        L = -1/n Σ min(ρ_t A_t, clip(ρ_t, 1-ε, 1+ε) A_t)

    All tensors [B, T]; clip is ε.
    """
    ratio = torch.exp((logp - old_logp) * mask)
    worse = torch.min(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)
    return -(worse * mask).sum() / n_tokens


def value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, clip: float, n_tokens: float
) -> Tensor:
    """½ max of the squared errors of the value and of the value kept within ±clip of the old one, per token."""
    kept = old_values + (values - old_values).clamp(-clip, clip)
    error = torch.max((values - returns) ** 2, (kept - returns) ** 2)
    return 0.5 * (error * mask).sum() / n_tokens


def token_rewards(scores: Tensor, logp: Tensor, ref_logp: Tensor, mask: Tensor, kl_coef: float) -> Tensor:
    """What each token earns, [B, T]: -β (logp - ref_logp), and the rollout's score [B] on its last token.

    The first term sums to -β times the k1 estimate of KL(policy ‖ reference) (Ziegler et al. 2019,
    arXiv 1909.08593, eq. 2).
    """
    rewards = -kl_coef * (logp - ref_logp) * mask
    last = mask.sum(dim=1).long() - 1  # [B]
    rewards[torch.arange(len(scores)), last] += scores
    return rewards


def kl_k1(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    """Nats per rollout, [B]: Σ_t (logp - ref_logp), unbiased, may be negative."""
    return ((logp - ref_logp) * mask).sum(dim=1)


def kl_k3(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    """Nats per rollout, [B]: Σ_t (e^{-d} - 1 + d) with d = logp - ref_logp; unbiased, never negative (Schulman 2020)."""
    d = (logp - ref_logp) * mask
    return (torch.expm1(-d) + d).sum(dim=1)


def adapt_kl_coef(kl_coef: float, kl: float, target: float, least: float) -> float:
    """The next β: up by at most 20 % while KL is above its target, down by at most 20 % while below, never under `least`.

    β ← max(least, β (1 + clip(KL/target - 1, -0.2, 0.2))), Ziegler et al. 2019, §2.2, with K_β = 1. The
    floor keeps the first updates, whose KL is near 0, from switching the penalty off.
    """
    return max(least, kl_coef * (1 + min(0.2, max(-0.2, kl / target - 1))))


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """1 - Var(returns - values) / Var(returns) over the mask's tokens; 1 is perfect, 0 as good as the mean."""
    v, r = values[mask > 0], returns[mask > 0]
    return float(1 - (r - v).var(correction=0) / r.var(correction=0).clamp(min=1e-8))
