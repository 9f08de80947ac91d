"""PPO's optimisation of one update: epochs over random mini-batches, each cut into micro-batches by a token budget."""

import torch
from torch import Tensor

from components.train_ppo.actor_critic import ActorCritic
from components.train_ppo.batching import micro_batches
from components.train_ppo.config import Config
from components.train_ppo.experience import Experience
from components.train_ppo.losses import kl_k3, policy_loss, value_loss
from components.train_ppo.ranks import Ranks
from memozy.modeling import load_training_state, training_state


class Learner:
    """The optimiser of an actor's adapter and value head; its moments are float32, as they are."""

    def __init__(self, actor: ActorCritic, config: Config, ranks: Ranks) -> None:
        self.actor, self.config, self.ranks = actor, config, ranks
        self.parameters = list(actor.trained().values())
        self.optimizer = torch.optim.AdamW(self.parameters, config.learning_rate, weight_decay=0.0, fused=True)

    def learn(
        self, x: Experience, advantages: Tensor, returns: Tensor, lengths: Tensor, rng: torch.Generator
    ) -> dict[str, float]:
        """Take the update's steps; -> numbers to log, the same on every rank.

        advantages, returns: [b, R], of this rank's rollouts; lengths: [B], response tokens of every rank's. A mini-batch
        whose approximate KL from the old policy is above `stop_at_approx_kl` is not learned from, and ends the update.
        """
        c = self.config
        steps: list[dict[str, float]] = []
        stopped, highest = False, torch.zeros((), device=lengths.device)
        for _ in range(c.epochs):
            for rows in torch.randperm(len(lengths), generator=rng).tensor_split(c.mini_batches):
                sums, ratio = self._gradients(x, advantages, returns, rows, lengths[rows].sum().item())
                highest = highest.maximum(ratio)
                stopped = sums["ppo/policy/approxkl"] > c.stop_at_approx_kl
                if not stopped:
                    norm = torch.nn.utils.clip_grad_norm_(self.parameters, c.max_grad_norm)
                    self.optimizer.step()
                    steps.append(sums | {"ppo/grad_norm": norm.item()})
                self.optimizer.zero_grad()
                if stopped:
                    break
            if stopped:
                break
        numbers = {name: sum(step[name] for step in steps) / len(steps) for name in steps[0]}
        tokens, computed = numbers.pop("tokens") * len(steps), numbers.pop("computed") * len(steps)
        return numbers | {
            "ppo/policy/max_ratio": max(self.ranks.gather([highest.item()])),
            "ppo/policy/stopped_early": float(stopped),
            "ppo/optimizer_steps": float(len(steps)),
            "ppo/padding": 1 - tokens / computed,
            "ppo/tokens": tokens,
        }

    def _gradients(
        self, x: Experience, advantages: Tensor, returns: Tensor, rows: Tensor, n_tokens: float
    ) -> tuple[dict[str, float], Tensor]:
        """Leave the mini-batch's gradients, over all ranks; -> its losses and measures, and this rank's highest ratio.

        rows: the mini-batch's rollouts among all ranks'. n_tokens: their response tokens.
        """
        c, device = self.config, x.old_logp.device
        mine = self.ranks.share(self.config.rollouts)
        rows = rows[(rows >= mine.start) & (rows < mine.stop)].to(device) - mine.start
        sums = dict.fromkeys(MEASURES, torch.zeros((), device=device))
        highest = torch.zeros((), device=device)
        for group in micro_batches(x.rollouts.lengths[rows].tolist(), c.micro_batch_tokens):
            index = rows[torch.tensor(group, device=device)]
            batch = x.rollouts.batch(index)
            mask, r = batch.mask, batch.mask.shape[1]
            old_logp, old_values = x.old_logp[index, :r], x.values[index, :r]
            logp, values = self.actor(batch, c.temperature, x.below)
            pg = policy_loss(logp, old_logp, advantages[index, :r], mask, c.clip, n_tokens)
            vf = value_loss(values[:, :-1], old_values, returns[index, :r], mask, c.value_clip, n_tokens)
            (pg + c.value_coef * vf).backward()
            with torch.no_grad():
                ratio = torch.exp((logp - old_logp) * mask)  # [b, R], 1 outside the mask
                highest = highest.maximum(ratio.max())
                new = {
                    "ppo/policy/loss": pg, "ppo/value/loss": vf,
                    "ppo/policy/clipfrac": ((ratio - 1).abs() > c.clip).sum() / n_tokens,
                    "ppo/policy/approxkl": kl_k3(old_logp, logp, mask).sum() / n_tokens,
                    "tokens": x.rollouts.lengths[index].sum(), "computed": torch.tensor(batch.ids.numel(), device=device),
                }  # fmt: skip
                sums = {name: sums[name] + new[name].detach() for name in MEASURES}
        self.ranks.sum_gradients(self.parameters)
        return {name: value.item() for name, value in self.ranks.sum(sums).items()}, highest

    def state(self) -> dict[str, Tensor]:
        return training_state(self.actor.trained(), self.optimizer)

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        load_training_state(self.actor.trained(), self.optimizer, tensors)


MEASURES = ("ppo/policy/loss", "ppo/value/loss", "ppo/policy/clipfrac", "ppo/policy/approxkl", "tokens", "computed")
