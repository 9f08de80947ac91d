"""The PPO loop: roll out, score, estimate advantages, update; one call of `step` per update.

Every random draw of update u comes from generators seeded by (seed, u), so a run that is resumed
from the state after update u-1 goes on bit for bit as if it had never stopped.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from components.train_ppo.config import Config
from components.train_ppo.gae import gae, masked_mean, whiten
from components.train_ppo.losses import (
    adapt_kl_coef,
    explained_variance,
    kl_k1,
    kl_k3,
    policy_loss,
    token_rewards,
    value_loss,
)
from components.train_ppo.policy import Policy, Tokens
from memozy.modeling import generate, load_training_state, training_state

Scorer = Callable[[Sequence[str], int], np.ndarray]  # (responses, update) -> scores [B] in [-1, 1]


class PPO:
    """A policy in training. `score` judges responses; one that ran out of tokens before its EOS scores -1."""

    def __init__(self, policy: Policy, queries: Sequence[str], score: Scorer, config: Config) -> None:
        self.policy, self.score, self.config = policy, score, config
        self.queries = [policy.lm.chat_ids(q) for q in queries]
        self.kl_coef = config.kl_coef
        self.optimizer = torch.optim.AdamW(policy.trained().values(), lr=config.learning_rate, weight_decay=0.0)

    def step(self, update: int) -> tuple[dict[str, float], list[dict]]:
        """One update. -> (numbers to log, samples: {prompt, score, kl} of a few rollouts)."""
        c, started = self.config, time.monotonic()
        queries = [self.queries[(update * c.rollouts + i) % len(self.queries)] for i in range(c.rollouts)]
        replies = generate(self.policy.lm, queries, max_new_tokens=c.max_new_tokens, temperature=c.temperature,
                           rng=_generator(c.seed, update, 0))  # fmt: skip
        rolled = time.monotonic()
        texts = [self.policy.lm.text(r) for r in replies.tokens]
        scores = torch.tensor(self.score(texts, update), dtype=torch.float32)
        scores = torch.where(torch.tensor(replies.finished), scores, -1.0)  # [B]
        scored = time.monotonic()

        tokens = Tokens.pack(queries, replies.tokens, self.policy.lm.pad_id)
        old_logp = torch.zeros_like(tokens.mask)  # [B, R]
        for i, row in enumerate(replies.logprobs):
            old_logp[i, : len(row)] = torch.tensor(row)
        ref_logp = self.policy.reference_logp(tokens, c.temperature)
        with torch.no_grad():
            _, old_values, entropy = self.policy(tokens, c.temperature)
        rewards = token_rewards(scores, old_logp, ref_logp, tokens.mask, self.kl_coef)
        advantages, returns = gae(rewards, old_values, tokens.mask, c.gamma, c.lam)
        kl = kl_k1(old_logp, ref_logp, tokens.mask)  # [B]
        numbers = {
            "step": update,
            "objective/score": scores.mean().item(),
            "objective/reward": (scores - self.kl_coef * kl).mean().item(),
            "objective/kl": kl.mean().item(),
            "objective/kl_k3": kl_k3(old_logp, ref_logp, tokens.mask).mean().item(),
            "objective/kl_coef": self.kl_coef,
            "objective/entropy": masked_mean(entropy, tokens.mask).item(),
            "objective/length": tokens.mask.sum(dim=1).mean().item(),
            "objective/eos_rate": float(np.mean(replies.finished)),
            "objective/distinct": len(set(texts)) / len(texts),
            "ppo/value/explained_variance": explained_variance(old_values, returns, tokens.mask),
        }
        numbers |= self._optimise(update, tokens, old_logp, old_values, whiten(advantages, tokens.mask), returns)
        self.kl_coef = adapt_kl_coef(self.kl_coef, numbers["objective/kl"], c.kl_target, c.kl_coef)
        ended = time.monotonic()
        numbers |= {
            "seconds/rollout": rolled - started,
            "seconds/score": scored - rolled,
            "seconds/update": ended - scored,
        }
        samples = [{"step": update, "prompt": t, "score": s, "kl": k}
                   for t, s, k in list(zip(texts, scores.tolist(), kl.tolist(), strict=True))[:4]]  # fmt: skip
        return numbers, samples

    def _optimise(self, update: int, tokens: Tokens, old_logp: Tensor, old_values: Tensor, advantages: Tensor,
                  returns: Tensor) -> dict[str, float]:  # fmt: skip
        """`epochs` passes over the rollouts in `mini_batches`; stops early where the policy has moved too far."""
        c, rng = self.config, _generator(self.config.seed, update, 1)
        seen: dict[str, list[float]] = {
            k: [] for k in ("clipfrac", "approxkl", "policy_loss", "value_loss", "norm", "ratio")
        }
        stopped = 0.0
        for _ in range(c.epochs):
            for index in torch.randperm(len(tokens.ids), generator=rng).chunk(c.mini_batches):
                batch = tokens.rows(index)
                r = batch.mask.shape[1]
                old_lp, old_v = old_logp[index, :r], old_values[index, :r]
                n_tokens = batch.mask.sum().item()
                logp, values, _ = self.policy(batch, c.temperature)
                pg = policy_loss(logp, old_lp, advantages[index, :r], batch.mask, c.clip, n_tokens)
                vf = value_loss(values, old_v, returns[index, :r], batch.mask, c.value_clip, n_tokens)
                (pg + c.value_coef * vf).backward()
                norm = torch.nn.utils.clip_grad_norm_(self.policy.trained().values(), c.max_grad_norm)
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
                with torch.no_grad():
                    ratio = torch.exp((logp - old_lp) * batch.mask)
                    seen["clipfrac"].append(masked_mean(((ratio - 1).abs() > c.clip).float(), batch.mask).item())
                    seen["approxkl"].append((kl_k3(old_lp, logp, batch.mask).sum() / n_tokens).item())
                    seen["ratio"].append((ratio - 1).abs().max().item())
                seen["policy_loss"].append(pg.item())
                seen["value_loss"].append(vf.item())
                seen["norm"].append(norm.item())
            if seen["approxkl"][-1] > c.stop_at_approx_kl:
                stopped = 1.0
                break
        return {
            "ppo/policy/clipfrac": float(np.mean(seen["clipfrac"])),
            "ppo/policy/approxkl": float(np.mean(seen["approxkl"])),
            "ppo/policy/loss": float(np.mean(seen["policy_loss"])),
            "ppo/policy/max_ratio_deviation": max(seen["ratio"]),
            "ppo/policy/first_ratio_deviation": seen["ratio"][0],
            "ppo/policy/stopped_early": stopped,
            "ppo/value/loss": float(np.mean(seen["value_loss"])),
            "ppo/grad_norm": float(np.mean(seen["norm"])),
            "ppo/optimizer_steps": float(len(seen["norm"])),
        }

    def state(self) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Everything the next update depends on: tensors (weights, optimiser moments) and plain numbers."""
        return training_state(self.policy.trained(), self.optimizer), {"kl_coef": self.kl_coef}

    def load_state(self, tensors: dict[str, Tensor], numbers: dict[str, float]) -> None:
        load_training_state(self.policy.trained(), self.optimizer, tensors)
        self.kl_coef = numbers["kl_coef"]


def _generator(seed: int, update: int, stream: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 1_000_003 + update) * 2 + stream)
