"""The PPO loop: roll out, score, estimate advantages, learn; one call of `step` per update.

Every random draw of update u comes from generators seeded by (seed, u), so a run that is resumed from the state after
update u-1 goes on bit for bit as if it had never stopped. Several ranks (accelerate) roll out and train a share of the
rollouts each, and add up gradients and statistics: they take the steps that one rank would take, but for rounding.
"""

import time

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from components.train_ppo.actor_critic import ActorCritic
from components.train_ppo.config import Config
from components.train_ppo.experience import Experience
from components.train_ppo.gae import moments, whiten
from components.train_ppo.learner import Learner
from components.train_ppo.losses import adapt_kl_coef, explained_variance, kl_k1, kl_k3
from components.train_ppo.measures import distinct, distinct_2
from components.train_ppo.ranks import Ranks
from memozy.environments import Environment
from memozy.generation import generate

SAMPLES = 4  # rollouts of an update that are shown


class PPO:
    """A policy in training. `actor` is made of the policy that training started from, also to go on from a state."""

    def __init__(self, actor: ActorCritic, environment: Environment, config: Config,
                 accelerator: Accelerator | None = None) -> None:  # fmt: skip
        self.actor, self.environment, self.config = actor, environment, config
        self.ranks = Ranks(accelerator or Accelerator(cpu=actor.lm.device.type == "cpu"))
        self.learner = Learner(actor, config, self.ranks)
        self.kl_coef = config.kl_coef

    def step(self, update: int) -> tuple[dict[str, float], list[dict]]:
        """One update. -> (numbers to log, samples {step, query, response, score, kl, and gold where there is one}).

        The numbers are over all ranks and the same on each, but for seconds; the samples are this rank's.
        """
        c, lm, mine = self.config, self.actor.lm, self.ranks.share(self.config.rollouts)
        times = [time.monotonic()]
        queries = self.environment.reset(update, c.rollouts)
        ids = {query: lm.chat_ids(query) for query in set(queries)}
        with self.actor.merged():
            replies = generate(lm, [ids[q] for q in queries], max_new_tokens=c.max_new_tokens, temperature=c.temperature,
                               rng=_generator(c.seed, update, 0), rows=mine, value=self.actor.value)  # fmt: skip
        queries, texts = queries[mine], [lm.text(tokens) for tokens in replies.tokens]
        times.append(time.monotonic())
        scored = self.environment.score(queries, texts)
        times.append(time.monotonic())

        x = Experience.of(self.actor, [ids[q] for q in queries], replies, c)
        mask, lengths = x.rollouts.mask(), x.rollouts.responses  # [b, R], [b]
        scores = x.scores(torch.tensor(np.asarray(scored.scores), dtype=torch.float32, device=lm.device), c)  # [b]
        rewards = x.rewards(scores, self.kl_coef, c)  # [b, R]
        advantages, returns = x.advantages(rewards, c)  # [b, R]
        kl = kl_k1(x.old_logp, x.ref_logp, mask)  # [b]
        means = {
            "objective/score": _mean(scores),
            **{
                _name(key): _mean(torch.tensor(np.asarray(v, float), device=lm.device))
                for key, v in scored.info.items()
            },
            "objective/reward": _mean(rewards.sum(dim=1)),
            "objective/kl": _mean(kl),
            "objective/kl_k3": _mean(kl_k3(x.old_logp, x.ref_logp, mask)),
            "objective/entropy": _mean(-x.old_logp[mask > 0]),  # nats a token: an unbiased estimate, from those drawn
            "objective/length": _mean(lengths),
            "objective/eos_rate": _mean(x.finished),
        }
        everyones = torch.zeros(c.rollouts, device=lm.device)
        everyones[mine] = lengths.float()
        totals = self.ranks.sum({
            **means, "lengths": everyones, "advantages": moments(advantages, mask), "returns": moments(returns, mask),
            "errors": moments(returns - x.values[:, :-1], mask),
        })  # fmt: skip
        if c.whiten:
            advantages = whiten(advantages, mask, totals["advantages"])
        learned = self.learner.learn(x, advantages, returns, totals["lengths"], _generator(c.seed, update, 1))
        times.append(time.monotonic())

        numbers = {name: (totals[name][0] / totals[name][1]).item() for name in means if totals[name][1] > 0}
        if {"objective/proxy", "objective/gold"} <= numbers.keys():
            numbers["objective/gap"] = numbers["objective/proxy"] - numbers["objective/gold"]
        said = self.ranks.gather(texts)
        numbers |= {
            "step": update,
            "objective/kl_coef": self.kl_coef,
            "objective/distinct": distinct(said),
            "objective/distinct_2": distinct_2(said),
            "ppo/value/explained_variance": explained_variance(totals["errors"], totals["returns"]),
            **learned,
        }
        written = totals["lengths"].sum().item()
        for i, (phase, tokens) in enumerate(
            (("rollout", written), ("score", written), ("update", learned["ppo/tokens"]))
        ):
            seconds = times[i + 1] - times[i]
            numbers |= {f"seconds/{phase}": seconds, f"tokens_per_second/{phase}": tokens / max(seconds, 1e-9)}
        self.kl_coef = adapt_kl_coef(self.kl_coef, numbers["objective/kl"], c.kl_target, c.kl_coef)
        samples = [
            {"step": update, "query": queries[i], "response": texts[i], "score": scores[i].item(), "kl": kl[i].item()}
            for i in range(min(SAMPLES, len(texts)))
        ]
        for sample, gold in zip(samples, scored.info.get("gold", ())):  # noqa: B905 - fewer samples than rollouts
            sample["gold"] = float(gold)
        return numbers, samples

    def state(self) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Everything the next update depends on: tensors (weights, optimiser moments) and plain numbers."""
        return self.learner.state(), {"kl_coef": self.kl_coef}

    def load_state(self, tensors: dict[str, Tensor], numbers: dict[str, float]) -> None:
        self.learner.load_state(tensors)
        self.kl_coef = numbers["kl_coef"]


def _mean(x: Tensor) -> Tensor:
    """Sum and count of what is not NaN, [2]: they add up over ranks."""
    return torch.stack([x.double().nan_to_num().sum(), (~x.double().isnan()).double().sum()])


def _name(key: str) -> str:
    return f"objective/{key}" if key in ("proxy", "gold") else f"env/{key}"


def _generator(seed: int, update: int, stream: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 1_000_003 + update) * 2 + stream)
