"""What an update learns from: its rollouts, and what policy, reference and value head say of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from components.train_ppo.actor_critic import ActorCritic
from components.train_ppo.batching import Rollouts, micro_batches
from components.train_ppo.config import Config
from components.train_ppo.gae import gae
from components.train_ppo.losses import overlong_penalty, token_rewards
from memozy.generation import Replies


@dataclass(frozen=True)
class Experience:
    """One rank's rollouts of an update. b of them, R: the longest response, N: all their tokens, queries' included."""

    rollouts: Rollouts
    finished: Tensor  # [b] bool: ended by EOS
    below: Tensor | None  # [N, H] what enters the layers that train, where not all do
    old_logp: Tensor  # [b, R] under the policy that rolled out
    ref_logp: Tensor  # [b, R]
    values: Tensor  # [b, R + 1] of the state before each token and of the one after the last

    @classmethod
    @torch.no_grad()
    def of(cls, actor: ActorCritic, queries: Sequence[Sequence[int]], replies: Replies, config: Config) -> "Experience":
        """One forward, the reference's, where log-probs and values were captured while decoding in float32.

        In less, batches of another shape round differently, so both are computed again as training computes them: the
        first ratios are 1. So they are where nothing was captured.
        """
        device = actor.lm.device
        rollouts = Rollouts.pack(queries, replies.tokens, device)
        mask = rollouts.mask()
        captured = any(replies.values) and actor.model.dtype == torch.float32
        old_logp, ref_logp, values = torch.zeros_like(mask), torch.zeros_like(mask), pad(torch.zeros_like(mask), (0, 1))
        if captured:
            for i, (lps, worths) in enumerate(zip(replies.logprobs, replies.values, strict=True)):
                old_logp[i, : len(lps)] = torch.tensor(lps, device=device)
                values[i, : len(worths)] = torch.tensor(worths, device=device)
        groups = micro_batches(rollouts.lengths.tolist(), config.micro_batch_tokens)
        below = actor.below(rollouts, groups)
        batches = [(index, rollouts.batch(index)) for index in (torch.tensor(group, device=device) for group in groups)]
        for index, batch in () if captured else batches:
            r = batch.mask.shape[1]
            old_logp[index, :r], values[index, : r + 1] = actor(batch, config.temperature, below)
        with actor.reference():
            for index, batch in batches:
                ref_logp[index, : batch.mask.shape[1]] = actor(batch, config.temperature, below)[0]
        return cls(rollouts, torch.tensor(replies.finished, device=device), below, old_logp, ref_logp, values)

    def scores(self, scores: Tensor, config: Config) -> Tensor:
        """The environment's scores [b], but that a response without EOS gets `missing_eos_score` where that is penalised."""
        return (
            torch.where(self.finished, scores, config.missing_eos_score) if config.truncation == "penalise" else scores
        )

    def rewards(self, scores: Tensor, kl_coef: float, config: Config) -> Tensor:
        """What each token earns, [b, R]: for its KL, and at the end the score [b], less where the response is overlong."""
        if config.overlong_from is not None:
            scores = scores + overlong_penalty(self.rollouts.responses, config.overlong_from, config.max_new_tokens)
        return token_rewards(scores, self.old_logp, self.ref_logp, self.rollouts.mask(), kl_coef)

    def advantages(self, rewards: Tensor, config: Config) -> tuple[Tensor, Tensor]:
        """Advantages and returns, both [b, R]. Where truncation bootstraps, a response without EOS would have gone on."""
        after = None
        if config.truncation == "bootstrap":
            after = self.values.gather(1, self.rollouts.responses[:, None])[:, 0] * ~self.finished  # [b]
        return gae(rewards, self.values[:, :-1], self.rollouts.mask(), config.gamma, config.lam, after)
