import pytest
import torch
from torch import nn

from components.train_ppo import logprobs
from components.train_ppo.logprobs import Head


@pytest.mark.parametrize("at_once", [1, 40, 10**6])  # logits: one row at a time, three, all
@pytest.mark.parametrize("softcap", [None, 3.0])
@pytest.mark.parametrize("bias", [False, True])
def test_values_and_gradients_are_those_of_a_whole_log_softmax(at_once, softcap, bias, monkeypatch):
    monkeypatch.setitem(logprobs.LOGITS_AT_ONCE, "cpu", at_once)
    torch.manual_seed(0)
    linear = nn.Linear(5, 13, bias=bias).requires_grad_(False)
    hidden, targets, weights = torch.randn(7, 5, requires_grad=True), torch.randint(13, (7,)), torch.randn(7)
    logits = linear(hidden) * 2.0
    logits = 3.0 * torch.tanh(logits / 3.0) if softcap else logits
    expected = (logits / 0.7).log_softmax(-1)[torch.arange(7), targets]
    (slope,) = torch.autograd.grad((expected * weights).sum(), hidden)
    got = Head(linear, 2.0, softcap).logp(hidden, targets, 0.7)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(torch.autograd.grad((got * weights).sum(), hidden)[0], slope)
