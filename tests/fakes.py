"""Small real parts for tests: a random tiny LM with the micro-world's tokenizer, and diaries to rate."""

import copy
import random
from functools import cache

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from memozy.modeling import LanguageModel
from microworld.contexts import sample_contexts
from microworld.instructions import sample_instructions, template
from microworld.vocabulary import train_tokenizer
from microworld.writer import write_diary
from pipelines.from_scratch import tokenize, train

QUERIES = ("프롬프트를 써 주세요.", "사진 일기를 쓰는 모델에게 줄 말을 짧게 써 주세요.")


@cache
def tokenizer():
    rng = random.Random(0)
    contexts = sample_contexts(50, 0)
    texts = [write_diary(sample_instructions(rng, 0.5, 0.2), c, rng) for c in contexts]
    texts += [template(sample_instructions(rng, 0.5, 0.2), rng) for _ in range(50)]
    return train_tokenizer(texts, size=700)


def tiny_lm(seed: int = 0, hidden: int = 32, layers: int = 2) -> LanguageModel:
    """A random two-layer causal LM; big enough to have every code path, small enough to run in milliseconds."""
    torch.manual_seed(seed)
    tok = copy.deepcopy(tokenizer())  # each has its own to change
    config = LlamaConfig(
        vocab_size=len(tok), hidden_size=hidden, num_hidden_layers=layers, intermediate_size=2 * hidden,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=tok.eos_token_id, pad_token_id=tok.pad_token_id, initializer_range=0.3,
    )  # fmt: skip
    return LanguageModel(LlamaForCausalLM(config).eval(), tok)


def taught_lm() -> LanguageModel:
    """`tiny_lm` after a second of SFT on short replies, so that it ends them."""
    lm = tiny_lm()
    words = [w for text in ("바다 산 강 길", "친구 가족 동생", "기쁨 설렘 그리움") for w in text.split()]
    examples = [tokenize(lm, QUERIES[i % 2], " ".join(random.Random(i).choices(words, k=3))) for i in range(64)]
    train(lm.model, examples, steps=60, batch_size=16, learning_rate=5e-3, warmup=5, pad_id=lm.pad_id, seed=0)
    return lm
