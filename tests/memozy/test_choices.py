"""The likelihoods of choices against one plain forward pass for each answer, and that shared tokens are computed once."""

import numpy as np
import pytest
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, PreTrainedTokenizerFast

from memozy import choices
from memozy.choices import choice_probabilities
from memozy.modeling import LanguageModel
from tests.fakes import tiny_lm, tokenizer

STORIES = [
    "민수와 지영은 공원을 걸었다.",
    "둘 중 한 사람이 지갑을 잃어버렸다. 날씨가 맑았다.",
    "비가 왔다.",
    "누군가 웃었다. " * 6,
]
LATE = [
    "맥락을 끝까지 잘 읽고 번호 하나만으로 답해 줘. {}",
    "답해 줘. {}",
    "근거가 없을 때에는 알 수 없다는 쪽으로 답해 주세요. 맥락: {} 끝.",
]
EARLY = ["{} 위의 맥락을 보고 번호만 써라.", "맥락: {} 무엇이 맞는지 짧게 답하라."]


def filled(templates, stories=STORIES):
    return [[t.format(story) for story in stories] for t in templates]


def numbers(n):
    return [str(i + 1) for i in range(n)]


def by_plain_forwards(lm, prompt, labels):
    """p [C] and mass, from the whole row of prompt and label alone; a shorter label without what goes on as a longer one."""
    mass = {}
    for label in labels:
        ids, said = lm.chat_ids(prompt), lm.tokenizer(label, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logp = lm.model(torch.tensor([ids + said])).logits[0].double().log_softmax(-1)
        mass[label] = sum(logp[len(ids) - 1 + k, token] for k, token in enumerate(said)).exp().item()
    own = [mass[x] - (mass["10"] if x == "1" and "10" in mass else 0) for x in labels]
    return np.array(own) / sum(own), sum(own)


@pytest.mark.parametrize("templates", [LATE, EARLY, LATE[:1], LATE + EARLY])
@pytest.mark.parametrize("budget", [1, 90, 4096])
def test_they_are_those_of_plain_forwards(templates, budget, monkeypatch):
    monkeypatch.setattr(choices, "TOKENS_PER_BATCH", {"cpu": budget})
    lm, labels = tiny_lm(), [numbers(n) for n in (3, 2, 10, 3)]
    prompts = filled(templates)
    found = choice_probabilities(lm, prompts, labels)
    assert found.p.shape == (len(templates), 4, 10)
    for p, row in enumerate(prompts):
        for q, prompt in enumerate(row):
            expected, mass = by_plain_forwards(lm, prompt, labels[q])
            assert found.p[p, q, : len(labels[q])] == pytest.approx(expected, abs=1e-5)
            assert not found.p[p, q, len(labels[q]) :].any()
            assert found.mass[p, q] == pytest.approx(mass, rel=1e-4)


@pytest.mark.parametrize("budget", [1, 4096])
def test_labels_may_be_texts_of_any_length(budget, monkeypatch):
    """One pass over each text but its last token, not one for each token; a text's beginning is computed with it."""
    monkeypatch.setattr(choices, "TOKENS_PER_BATCH", {"cpu": budget})
    lm = tiny_lm()
    labels = [
        ["민수", "지영이 공원에서", "지영이 집에서 나왔다"],
        ["가", "나"],
        ["지영이", "지영이 공원에서"],
        ["나", "알 수 없음"],
    ]
    rows = []
    hook = lm.model.register_forward_pre_hook(lambda m, a, kw: rows.append(len(kw["input_ids"])), with_kwargs=True)
    prompts = filled(LATE[1:2], ["비가 왔다. 끝", "비가 왔다. 또", "눈", "해"])
    found = choice_probabilities(lm, prompts, labels)
    hook.remove()
    # what the questions share, then three texts, two of one token, one that goes on as the other, one beside one token
    assert sum(rows) == 1 + 3 + 1 + 1 + 1
    for q, prompt in enumerate(prompts[0]):
        expected, mass = by_plain_forwards(lm, prompt, labels[q])
        if q == 2:  # what goes on as the longer one does not count for the shorter
            expected = np.array([expected[0] - expected[1], expected[1]])
            expected, mass = expected / expected.sum(), mass * expected.sum()
        assert found.p[0, q, : len(labels[q])] == pytest.approx(expected, abs=1e-5)
        assert found.mass[0, q] == pytest.approx(mass, rel=1e-4)


def test_a_label_of_several_tokens_is_one_of_the_tests():
    ids = [tiny_lm().tokenizer(x, add_special_tokens=False)["input_ids"] for x in ("1", "10")]
    assert len(ids[0]) == 1 and len(ids[1]) == 2 and ids[1][:1] == ids[0]


def test_a_sliding_window_sees_no_padding():
    """Gemma's layers look 8 tokens back: a slot of padding between a row's tokens would push one of them out of sight."""
    torch.manual_seed(0)
    tok = tokenizer()
    config = Gemma3TextConfig(vocab_size=len(tok), hidden_size=32, num_hidden_layers=2, intermediate_size=64, head_dim=8,
                              num_attention_heads=4, num_key_value_heads=1, sliding_window=8, initializer_range=0.3,
                              layer_types=["sliding_attention", "full_attention"], max_position_embeddings=256)  # fmt: skip
    lm = LanguageModel(Gemma3ForCausalLM(config).eval(), tok)
    labels = [numbers(3)] * 4
    found = choice_probabilities(lm, filled(LATE), labels)
    for p, row in enumerate(filled(LATE)):
        for q, prompt in enumerate(row):
            assert found.p[p, q] == pytest.approx(by_plain_forwards(lm, prompt, labels[q])[0], abs=1e-5)


def test_without_a_chat_template_the_prompt_is_plain_text():
    lm = tiny_lm()
    plain = PreTrainedTokenizerFast(
        tokenizer_object=lm.tokenizer.backend_tokenizer, pad_token="<pad>", eos_token="</s>"
    )
    lm = LanguageModel(lm.model, plain)
    assert plain.chat_template is None
    found = choice_probabilities(
        lm, filled(EARLY[:1]), [numbers(3)] * 4
    )  # nothing is shared: the first slot comes first
    for q, prompt in enumerate(filled(EARLY)[0]):
        assert found.p[0, q] == pytest.approx(by_plain_forwards(lm, prompt, numbers(3))[0], abs=1e-5)


def test_what_a_prompts_questions_share_is_computed_once():
    lm, seen = tiny_lm(), []
    hook = lm.model.register_forward_pre_hook(lambda m, a, kw: seen.append(kw["input_ids"].numel()), with_kwargs=True)
    stories = [
        f"{name}{other} 길을 걸었다." for name in "가나다라" for other in "마바사아"
    ]  # 16 questions, equally long
    choice_probabilities(lm, filled(LATE[:1], stories), [numbers(3)] * 16)
    hook.remove()
    rows = [lm.chat_ids(prompt) for prompt in filled(LATE[:1], stories)[0]]
    assert len({len(row) for row in rows}) == 1
    shared = min(k for row in rows for k in range(len(row)) if row[k] != rows[0][k] or row[k] != rows[-1][k])
    assert shared > 5
    assert seen == [shared, 16 * (len(rows[0]) - shared)]
