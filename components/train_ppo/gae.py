"""Generalised advantage estimation, masked moments and whitening, as pure functions. Shapes: B rollouts, R tokens."""

import torch
from torch import Tensor


def gae(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float, after: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Advantages and returns, both [B, R] (Schulman et al. 2016, arXiv:1506.02438, eq. 16).

        δ_t = r_t + γ V_{t+1} - V_t        A_t = δ_t + γ λ A_{t+1}        G_t = A_t + V_t

    λ = 0 trusts the values after one step, λ = 1 trusts only the rewards: then G_t is the discounted sum of what came.

    rewards, values, mask: [B, R]; values[:, t] is of the state in which token t is chosen; a row's tokens are the mask's
    ones, from the left, at least one. after: [B], the value of the state that a row's last token leads to; 0, and so
    where it is left out, means that the episode ended there. Outside the mask both results are 0.
    """
    ahead = torch.zeros_like(values)  # V_{t+1} [B, R]
    ahead[:, :-1] = (values * mask)[:, 1:]
    if after is not None:
        ahead[torch.arange(len(values), device=values.device), last_token(mask)] = after
    deltas = (rewards + gamma * ahead - values) * mask  # [B, R]
    advantages = torch.zeros_like(values)
    following = torch.zeros_like(values[:, 0])  # A_{t+1} [B]
    for t in reversed(range(values.shape[1])):
        following = advantages[:, t] = deltas[:, t] + gamma * lam * following
    return advantages, (advantages + values) * mask


def last_token(mask: Tensor) -> Tensor:
    """Position of each row's last token, [B]; mask [B, R] of ones from the left, at least one a row."""
    return mask.sum(dim=1).long() - 1


def moments(x: Tensor, mask: Tensor) -> Tensor:
    """Count, sum and sum of squares of `x` [B, R] over the mask's ones: [3], float64.

    Moments of parts add up to those of the whole, so every rank whitens by all ranks' tokens.
    """
    x, mask = x.double(), mask.double()
    return torch.stack([mask.sum(), (x * mask).sum(), (x * x * mask).sum()])


def mean_and_variance(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population variance, scalars, from `moments`' count, sum and sum of squares; every token counts the same."""
    count, total, squares = moments
    mean = total / count
    return mean, (squares / count - mean**2).clamp(min=0)


def whiten(x: Tensor, mask: Tensor, moments: Tensor) -> Tensor:
    """`x` [B, R] shifted and scaled to mean 0 and variance 1 over the tokens `moments` were taken of; 0 outside the mask.

    So a step's size does not depend on the unit of the score; that of the clipped loss is set by ε alone.
    """
    mean, variance = mean_and_variance(moments)
    return ((x - mean) * torch.rsqrt(variance + 1e-8) * mask).to(x.dtype)
