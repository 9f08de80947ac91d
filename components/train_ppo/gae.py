"""Generalised advantage estimation, masked means and whitening, as pure functions. Shapes: B rollouts, T tokens."""

import torch
from torch import Tensor


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Advantages and returns, both [B, T] (Schulman et al. 2016, arXiv 1506.02438, eq. 16).

        δ_t = r_t + γ V_{t+1} - V_t        A_t = δ_t + γ λ A_{t+1}        R_t = A_t + V_t

    rewards, values, mask: [B, T]; a row's tokens are the mask's ones, from the left. After a row's last
    token there is no value and no advantage: its episode ended. Outside the mask both results are 0.
    """
    advantages = torch.zeros_like(rewards)
    following = torch.zeros_like(rewards[:, 0])  # A_{t+1} [B]
    next_value = torch.zeros_like(rewards[:, 0])  # V_{t+1} [B]
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        advantages[:, t] = (delta + gamma * lam * following) * mask[:, t]
        following, next_value = advantages[:, t], values[:, t] * mask[:, t]
    return advantages, (advantages + values) * mask


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of `x` [B, T] over the ones of `mask`, a scalar; every token counts the same, whatever its row."""
    return (x * mask).sum() / mask.sum()


def whiten(x: Tensor, mask: Tensor) -> Tensor:
    """`x` [B, T] shifted and scaled to mean 0 and variance 1 over the mask's tokens; 0 outside it."""
    mean = masked_mean(x, mask)
    variance = masked_mean((x - mean) ** 2, mask)
    return (x - mean) * torch.rsqrt(variance + 1e-8) * mask
