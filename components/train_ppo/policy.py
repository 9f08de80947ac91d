"""One LoRA backbone in every role: policy (adapter on), reference (adapter off), value (a head on the trunk)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from memozy.modeling import LanguageModel


@dataclass
class Tokens:
    """Rollouts as tensors, right-padded. T: query + response tokens, R: the longest response."""

    ids: Tensor  # [B, T]
    attention: Tensor  # [B, T]
    predictors: Tensor  # [B, R] position whose hidden state predicts each response token
    responses: Tensor  # [B, R] the response tokens
    mask: Tensor  # [B, R] 1.0 on response tokens

    @classmethod
    def pack(cls, queries: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], pad_id: int) -> "Tokens":
        rows = [[*q, *r] for q, r in zip(queries, responses, strict=True)]
        width, longest = max(map(len, rows)), max(map(len, responses))
        ids = torch.full((len(rows), width), pad_id)
        attention = torch.zeros(len(rows), width, dtype=torch.long)
        predictors = torch.zeros(len(rows), longest, dtype=torch.long)
        targets = torch.full((len(rows), longest), pad_id)
        mask = torch.zeros(len(rows), longest)
        for i, (query, response) in enumerate(zip(queries, responses, strict=True)):
            n = len(response)
            ids[i, : len(rows[i])] = torch.tensor(rows[i])
            attention[i, : len(rows[i])] = 1
            predictors[i, :n] = torch.arange(len(query) - 1, len(query) - 1 + n)
            targets[i, :n] = torch.tensor(response)
            mask[i, :n] = 1
        return cls(ids, attention, predictors, targets, mask)

    def rows(self, index: Tensor) -> "Tokens":
        """The rollouts at `index` [b], cut to the longest of them."""
        width = int(self.attention[index].sum(dim=1).max())
        longest = int(self.mask[index].sum(dim=1).max())
        return Tokens(self.ids[index, :width], self.attention[index, :width], self.predictors[index, :longest],
                      self.responses[index, :longest], self.mask[index, :longest])  # fmt: skip


class Policy(nn.Module):
    """A causal LM with a LoRA adapter and a value head that reads the same hidden states."""

    def __init__(self, lm: LanguageModel, rank: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)  # LoRA's A matrices are drawn from the global generator
        lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
        self.peft = get_peft_model(lm.model, lora)
        base = self.peft.get_base_model()
        self.trunk, self.lm_head = base.get_decoder(), base.get_output_embeddings()
        self.value_head = nn.Linear(base.config.hidden_size, 1)
        nn.init.zeros_(self.value_head.weight)  # values start at 0: the first advantages are the rewards
        nn.init.zeros_(self.value_head.bias)
        self.eval()  # no dropout, ever: ratios start at 1, and every draw is seeded
        self.lm = LanguageModel(self.peft, lm.tokenizer)  # what `generate` samples from

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters PPO changes: the adapter and the value head."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def forward(self, tokens: Tokens, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        """-> log-probs of the response tokens [B, R], values before each [B, R], entropies [B, R].

        Logits exist for response positions only, never for the whole [B, T].
        """
        hidden = self._hidden(tokens)  # [B, R, H]
        logp = torch.log_softmax(self.lm_head(hidden).float() / temperature, dim=-1)  # [B, R, V]
        picked = logp.gather(-1, tokens.responses[..., None])[..., 0]  # [B, R]
        entropy = -(logp.exp() * logp).sum(dim=-1)
        values = self.value_head(hidden.float())[..., 0]
        return picked * tokens.mask, values * tokens.mask, entropy * tokens.mask

    @torch.no_grad()
    def reference_logp(self, tokens: Tokens, temperature: float) -> Tensor:
        """Log-probs of the response tokens [B, R] under the policy PPO started from: the adapter switched off."""
        with self.peft.disable_adapter():
            hidden = self._hidden(tokens)
            logp = torch.log_softmax(self.lm_head(hidden).float() / temperature, dim=-1)
        return logp.gather(-1, tokens.responses[..., None])[..., 0] * tokens.mask

    def _hidden(self, tokens: Tokens) -> Tensor:
        """Hidden states at the positions that predict response tokens, [B, R, H]."""
        out = self.trunk(input_ids=tokens.ids, attention_mask=tokens.attention, use_cache=False)
        index = tokens.predictors[..., None].expand(-1, -1, out.last_hidden_state.shape[-1])
        return out.last_hidden_state.gather(1, index)
