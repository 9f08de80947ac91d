import pytest
import torch

from components.train_ppo.gae import gae, mean_and_variance, moments, whiten

MASK = torch.tensor([[1.0] * n + [0.0] * (7 - n) for n in (7, 1, 4, 6)])


def closed_form(rewards, values, mask, gamma, lam, after):
    """A_t = Σ_{l≥0} (γλ)^l δ_{t+l}: the O(R²) sum, written from the definition."""
    out = torch.zeros_like(rewards)
    for i in range(len(rewards)):
        n = int(mask[i].sum())
        v = [*values[i, :n].tolist(), after[i].item()]
        delta = [rewards[i, t].item() + gamma * v[t + 1] - v[t] for t in range(n)]
        for t in range(n):
            out[i, t] = sum((gamma * lam) ** (k - t) * delta[k] for k in range(t, n))
    return out


@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("gamma", [1.0, 0.9])
@pytest.mark.parametrize("after", [None, torch.tensor([0.5, -2.0, 0.0, 1.0])])
def test_equals_the_quadratic_sum_on_ragged_rows(gamma, lam, after):
    torch.manual_seed(0)
    rewards, values = torch.randn(4, 7) * MASK, torch.randn(4, 7)  # values outside the mask are junk on purpose
    advantages, returns = gae(rewards, values, MASK, gamma, lam, after)
    expected = closed_form(rewards, values, MASK, gamma, lam, torch.zeros(4) if after is None else after)
    torch.testing.assert_close(advantages, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(returns, (expected + values) * MASK, atol=1e-5, rtol=1e-5)


def test_by_hand():
    # γ=1, λ=0.5: δ = (0+2-1, 1-2) = (1, -1); A = (1 + 0.5·(-1), -1) = (0.5, -1); G = A + V = (1.5, 1)
    advantages, returns = gae(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 2.0]]), torch.ones(1, 2), 1.0, 0.5)
    assert advantages.tolist() == [[0.5, -1.0]]
    assert returns.tolist() == [[1.5, 1.0]]


def test_what_a_cut_response_would_still_have_earned_counts():
    # γ=0.5, λ=1, V=(1, 2), going on is worth 4: δ = (0+1-1, 1+2-2) = (0, 1); A = (0 + 0.5·1, 1)
    advantages, _ = gae(
        torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 2.0]]), torch.ones(1, 2), 0.5, 1.0, torch.tensor([4.0])
    )
    assert advantages.tolist() == [[0.5, 1.0]]


def test_lambda_one_is_monte_carlo_return_minus_value():
    rewards = torch.tensor([[0.0, 0.0, 2.0]])
    advantages, _ = gae(rewards, torch.tensor([[0.5, 0.25, 1.0]]), torch.ones(1, 3), 1.0, 1.0)
    assert advantages.tolist() == [[1.5, 1.75, 1.0]]


def test_moments_count_tokens_not_rows_and_parts_add_up():
    x = torch.tensor([[1.0, 2.0, 9.0], [6.0, 9.0, 9.0]])
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    assert moments(x, mask).tolist() == [3.0, 9.0, 41.0]
    assert (moments(x[:1], mask[:1]) + moments(x[1:], mask[1:])).tolist() == [3.0, 9.0, 41.0]
    mean, variance = mean_and_variance(moments(x, mask))  # mean 3, squares' mean 41/3
    assert (mean.item(), round(variance.item(), 12)) == (3.0, round(41 / 3 - 9, 12))


def test_whiten_is_blind_to_what_is_masked():
    x, mask = torch.tensor([[1.0, 2.0, 3.0, 1e6]]), torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    white = whiten(x, mask, moments(x, mask))
    # mean 2, population variance 2/3: (-1, 0, 1) / sqrt(2/3)
    torch.testing.assert_close(white, torch.tensor([[-(1.5**0.5), 0.0, 1.5**0.5, 0.0]]), atol=1e-4, rtol=0)
