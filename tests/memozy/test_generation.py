import copy

import pytest
import scipy.stats
import torch

from memozy.generation import generate, inverse_cdf
from memozy.modeling import LanguageModel
from tests.fakes import tiny_lm

PROMPTS = [
    "가",
    "사진 일기를 써 줘.",
    "아주 긴 프롬프트를 하나 써 두고 길이가 다른 줄과 함께 넣는다. 해운대 친구 기쁨 노을 바다",
]


def draw(lm, prompts, seed=0, **settings):
    settings = {"max_new_tokens": 20, "temperature": 0.8} | settings
    return generate(lm, [lm.chat_ids(p) for p in prompts], rng=torch.Generator().manual_seed(seed), **settings)


def test_same_seed_same_replies_other_seed_others():
    lm = tiny_lm()
    assert draw(lm, PROMPTS * 4).tokens == draw(lm, PROMPTS * 4).tokens
    assert draw(lm, PROMPTS * 4).tokens != draw(lm, PROMPTS * 4, seed=1).tokens


def test_near_zero_temperature_is_greedy_whatever_the_batch():
    """Left padding and rows leaving the batch must not change what a row would write alone."""
    lm = tiny_lm()
    together = draw(lm, PROMPTS * 3, temperature=1e-4)
    for i, prompt in enumerate(PROMPTS * 3):
        ids = torch.tensor([lm.chat_ids(prompt)])
        alone = lm.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False,
                                  pad_token_id=lm.pad_id)[0, ids.shape[1] :].tolist()  # fmt: skip
        assert together.tokens[i] == alone


def test_replies_end_at_eos_or_at_the_limit():
    """There is a value of the state before each token, and where the limit cut a reply off, of the state after it."""
    lm = LanguageModel(tiny_lm().model, copy.deepcopy(tiny_lm().tokenizer))
    lm.tokenizer.eos_token_id = eos = draw(lm, PROMPTS * 8).tokens[3][7]  # so row 3 has it within 8 tokens
    replies = draw(lm, PROMPTS * 8, value=lambda states: states[:, 0])
    assert len(replies.tokens[3]) <= 8 and not all(replies.finished)
    for tokens, logprobs, finished, values in zip(*vars(replies).values(), strict=True):
        assert len(tokens) == len(logprobs) == len(values) - (not finished) <= 20
        assert finished == (tokens[-1] == eos)
        assert eos not in tokens[:-1]
        assert finished or len(tokens) == 20


def test_temperature_must_be_positive():
    with pytest.raises(ValueError, match="temperature must be positive; got 0"):
        draw(tiny_lm(), PROMPTS, temperature=0)


def test_a_reply_depends_neither_on_the_batch_nor_on_who_else_is_asked():
    lm = tiny_lm()
    prompts = PROMPTS * 5
    together = draw(lm, prompts)
    assert draw(lm, prompts, batch_size=2).tokens == together.tokens
    assert draw(lm, prompts, rows=slice(1, None, 3)).tokens == together.tokens[1::3]


def test_the_inverse_of_the_distribution_function_by_hand():
    """Probabilities 0.5, 0, 0.3, 0.2: the function jumps to 0.5, stays, to 0.8, to 1."""
    logp = torch.tensor([0.5, 0.0, 0.3, 0.2]).log().expand(6, -1)
    uniforms = torch.tensor([0.0, 0.49, 0.51, 0.79, 0.81, 0.999999], dtype=torch.float64)[:, None]
    assert inverse_cdf(logp, uniforms)[:, 0].tolist() == [0, 0, 2, 2, 3, 3]


def test_replies_follow_the_models_distribution():
    """First tokens of 4,000 replies against the softmax: chi-square over the commonest tokens, 0.1 % level."""
    lm = tiny_lm()
    ids = lm.chat_ids(PROMPTS[0])
    drawn = generate(lm, [ids] * 4000, max_new_tokens=1, temperature=0.7, rng=torch.Generator().manual_seed(0))
    p = (lm.model(torch.tensor([ids])).logits[0, -1] / 0.7).softmax(-1)
    common = (p * 4000 >= 20).nonzero()[:, 0].tolist()
    counts = [sum(t == [token] for t in drawn.tokens) for token in common]
    expected = [4000 * p[token].item() for token in common]
    counts, expected = [*counts, 4000 - sum(counts)], [*expected, 4000 - sum(expected)]
    assert len(common) > 3 and scipy.stats.chisquare(counts, expected).pvalue > 1e-3
