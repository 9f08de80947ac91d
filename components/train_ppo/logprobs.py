"""Log-probabilities of given tokens without the logits of all tokens in memory. N positions, H hidden size, V vocabulary."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

LOGITS_AT_ONCE = {"cpu": 2**21, "cuda": 2**26}  # how many logits exist at a time


@dataclass(frozen=True)
class Head:
    """What turns a model's last hidden states into its logits: z = scale · (W h + b), then softcap · tanh(z / softcap)."""

    linear: nn.Linear
    scale: float = 1.0
    softcap: float | None = None

    @classmethod
    def of(cls, model: nn.Module) -> "Head":
        """That of a `transformers` causal LM. Cohere multiplies its logits, Granite divides them, Gemma 2 caps them."""
        config = model.config.get_text_config()
        scale = getattr(config, "logit_scale", None) or 1 / (getattr(config, "logits_scaling", None) or 1)
        return cls(model.get_output_embeddings(), scale, getattr(config, "final_logit_softcapping", None))

    def logp(self, hidden: Tensor, targets: Tensor, temperature: float) -> Tensor:
        """log softmax(logits / temperature)[target], [N] in float32; hidden [N, H], targets [N].

        Gradients flow to `hidden` only: the head is frozen.
        """
        return _LogProb.apply(hidden, targets, self, temperature)

    def _logits(self, hidden: Tensor) -> Tensor:
        z = self.linear(hidden)
        z = z * self.scale if self.scale != 1 else z
        return torch.tanh(z / self.softcap) * self.softcap if self.softcap else z


class _LogProb(torch.autograd.Function):
    """The gradient of a log-prob, up to a factor known only later, needs no logits: d = ∂logp/∂h = (1_target - p) W / T.

    So the forward makes d [N, H] from a few logits at a time, and the backward only multiplies.
    """

    @staticmethod
    def forward(ctx, hidden: Tensor, targets: Tensor, head: Head, temperature: float) -> Tensor:
        weight = head.linear.weight
        rows = max(1, LOGITS_AT_ONCE.get(hidden.device.type, 2**21) // weight.shape[0])
        logp = torch.empty(len(hidden), device=hidden.device)
        slope = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for i in range(0, len(hidden), rows):
            logits = head._logits(hidden[i : i + rows]).float()  # [n, V]
            log_p = torch.log_softmax(logits / temperature, dim=-1)
            picked = targets[i : i + rows, None]
            logp[i : i + rows] = log_p.gather(1, picked)[:, 0]
            if slope is not None:
                d = log_p.exp_().neg_()
                d.scatter_add_(1, picked, torch.ones_like(picked, dtype=d.dtype))  # ∂logp/∂(logits / T) [n, V]
                if head.softcap:
                    d *= 1 - (logits / head.softcap) ** 2
                slope[i : i + rows] = d.mul_(head.scale / temperature).to(weight.dtype) @ weight
        ctx.save_for_backward(slope)
        return logp

    @staticmethod
    def backward(ctx, grad: Tensor):
        (slope,) = ctx.saved_tensors
        return (grad[:, None] * slope).to(slope.dtype), None, None, None
