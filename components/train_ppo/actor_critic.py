"""One LoRA backbone in every role: policy, frozen reference (a second adapter), value (a head on the trunk)."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from components.train_ppo.batching import Batch, Rollouts
from components.train_ppo.logprobs import Head
from components.train_ppo.lora import fuse
from memozy.policies import ADAPTER, Policy
from memozy.records import InputError

REFERENCE = "reference"


class ActorCritic(nn.Module):
    """A policy in training, the reference it must not stray from, and a value head that reads the policy's hidden states.

    The reference is the policy as it is now: make this of the policy that training starts from, also to go on from a
    saved state. top_layers: only the adapter's parts in that many layers train; what enters them is then the same for
    policy and reference and all epochs of an update, so it can be computed once (`below`) and given to `forward`.

    Raises InputError where the model has too few layers, or is of a family whose logits or layers are not understood.
    """

    def __init__(self, policy: Policy, top_layers: int | None = None) -> None:
        super().__init__()
        self.policy, self.lm, self.model = policy, policy.lm, policy.lm.model
        base = self.model.get_base_model()
        self.trunk, self.head = base.get_decoder(), Head.of(base)
        self.layers = _layers(base, self.trunk)
        self.cut = 0 if top_layers is None else len(self.layers) - top_layers  # layers below it are frozen
        if top_layers is not None and self.cut < 1:
            raise InputError(f"the policy has {len(self.layers)} layers", field="top_layers", value=top_layers,
                             remedy="Give fewer, or leave it out to train them all")  # fmt: skip
        self.value_head = nn.Linear(base.config.get_text_config().hidden_size, 1, device=self.lm.device)  # float32
        nn.init.zeros_(self.value_head.weight)  # values start at 0: the first advantages are the rewards
        nn.init.zeros_(self.value_head.bias)
        self._add_reference()
        fuse(self.model)
        for layer in self.layers[: self.cut]:
            layer.requires_grad_(False)
        self.eval()  # no dropout, ever: ratios start at 1, and every draw is seeded
        self._check()

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that training changes: the adapter, or what of it is in the top layers, and the value head."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def forward(self, batch: Batch, temperature: float, below: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """-> log-probs of the response tokens [b, R], values of the states before each and after the last [b, R+1].

        Both float32; log-probs are 0 outside the mask, values repeat the last. below: what `below` returned.
        """
        hidden = self._hidden(batch, below)  # [b, T, H]
        values = self.value(hidden.float()).gather(1, batch.states)  # [b, R + 1]
        return self._logp(hidden, batch, temperature), values

    def value(self, states: Tensor) -> Tensor:
        """What states are worth, [...]: last hidden states [..., H], float32."""
        return self.value_head(states)[..., 0]

    @contextmanager
    def reference(self) -> Iterator[None]:
        """While it lasts the backbone is the policy as it was when this object was made, frozen."""
        trained = self.trained().values()
        self.model.set_adapter(REFERENCE, inference_mode=True)
        try:
            yield
        finally:
            self.model.set_adapter(ADAPTER, inference_mode=True)
            for p in trained:
                p.requires_grad_(True)  # peft would let all of the adapter train

    @torch.no_grad()
    def below(self, rollouts: Rollouts, groups: Sequence[Sequence[int]]) -> Tensor | None:
        """Hidden states that enter the top layers, of all of the rollouts' tokens: [N, H]; None where all layers train.

        groups: rows to compute together.
        """
        if not self.cut:
            return None
        states = None
        for group in groups:
            batch = rollouts.batch(torch.tensor(group, device=rollouts.tokens.device))
            entering: list[Tensor] = []

            def note(hidden, *_, entering=entering, **__):
                entering.append(hidden)
                return hidden

            with _instead(self.layers[self.cut :], note):
                self.trunk(input_ids=batch.ids, use_cache=False)
            if states is None:
                states = entering[0].new_zeros(len(rollouts.tokens), entering[0].shape[-1])
            real = (
                torch.arange(batch.ids.shape[1], device=batch.ids.device) <= batch.states[:, -1:]
            )  # not padding [b, T]
            states[batch.places[real]] = entering[0][real]
        return states

    @contextmanager
    def merged(self) -> Iterator[None]:
        """While it lasts the adapter is part of the weights: decoding costs what the base alone does.

        Afterwards the very tensors of before are back: subtracting the adapter again would not give them bit for bit.
        """
        adapted = [m for m in self.model.modules() if isinstance(m, LoraLayer)]
        kept = [layer.get_base_layer().weight.data for layer in adapted]
        try:
            for layer in adapted:
                layer.merge(safe_merge=True, adapter_names=[ADAPTER])  # safe: into a copy
            yield
        finally:
            for layer, weight in zip(adapted, kept, strict=True):
                layer.get_base_layer().weight.data = weight
                layer.merged_adapters.clear()

    def _hidden(self, batch: Batch, below: Tensor | None) -> Tensor:
        given = nullcontext() if below is None else _instead(self.layers[: self.cut], below[batch.places])
        with given:
            return self.trunk(input_ids=batch.ids, use_cache=False).last_hidden_state  # [b, T, H]

    def _logp(self, hidden: Tensor, batch: Batch, temperature: float) -> Tensor:
        rows, steps = batch.mask.nonzero(as_tuple=True)  # [n]
        picked = self.head.logp(
            hidden[rows, batch.states[rows, steps]], batch.responses[rows, steps], temperature
        )  # [n]
        return torch.zeros_like(batch.mask).index_put((rows, steps), picked)

    def _add_reference(self) -> None:
        trained = self.trained().values()
        settings = copy.deepcopy(self.model.peft_config[ADAPTER])
        self.model.add_adapter(REFERENCE, settings)
        parameters = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, p in parameters.items():
                if f".{REFERENCE}." in name:
                    p.copy_(parameters[name.replace(f".{REFERENCE}.", f".{ADAPTER}.")])
                    p.requires_grad_(False)
        for p in trained:
            p.requires_grad_(True)

    @torch.no_grad()
    def _check(self) -> None:
        """That what is computed here is what the model itself says: families differ, and a few tokens tell."""
        ids = [[1, 2, 3, 4, 5, 6], [6, 5, 4]]
        rollouts = Rollouts.pack([row[:1] for row in ids], [row[1:] for row in ids], self.lm.device)
        batch = rollouts.batch(torch.arange(2, device=self.lm.device))
        logits = self.model(input_ids=batch.ids).logits.float()  # [2, T, V]
        said = logits.log_softmax(-1)[:, :-1].gather(2, batch.responses[..., None])[..., 0] * batch.mask
        near = 1e-3 if self.lm.model.dtype == torch.float32 else 0.1  # nats
        whole = self(batch, 1.0)[0]
        if not torch.allclose(whole, said, atol=near, rtol=near):
            raise InputError("logits of this family are more than a linear map of its hidden states", field="model",
                             value=self.model.config.model_type, remedy="Take a model of another family")  # fmt: skip
        try:
            same = not self.cut or torch.allclose(self(batch, 1.0, self.below(rollouts, [[0, 1]]))[0], whole, atol=near)
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
            same = False
        if not same:
            raise InputError("layers of this family do not follow one another, so those below cannot be kept",
                             field="top_layers", value=self.model.config.model_type,
                             remedy="Leave top_layers out: then the whole adapter trains")  # fmt: skip


def _layers(model: nn.Module, trunk: nn.Module) -> nn.ModuleList:
    count = model.config.get_text_config().num_hidden_layers
    for module in trunk.children():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise InputError("the layers of this family are not found", field="model", value=model.config.model_type,
                     remedy="Take a decoder-only model whose layers are one list")  # fmt: skip


@contextmanager
def _instead(layers: Sequence[nn.Module], result) -> Iterator[None]:
    """While it lasts these layers compute nothing: each returns `result`, or what `result` makes of its arguments."""
    for layer in layers:
        layer.forward = result if callable(result) else lambda *_, **__: result
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
