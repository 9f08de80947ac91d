"""Models that `ppo_vs_trl` trains: Llamas of random weights whose replies end by chance, and prompts for them."""

import math
import random
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from benchmarks.ppo.task import ANSWER

SPECIAL = ["<pad>", "<eos>", "<unk>", ANSWER]
NEVER = -20.0  # a logit, where those of words are around 0


def word_tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words: the special ones, then these."""
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *words])}
    splitter = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    splitter.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=splitter, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")


def some_words(n: int, of: int, rng: random.Random) -> str:
    """`n` of the words w0 to w`of`-1."""
    return " ".join(f"w{rng.randrange(of)}" for _ in range(n))


@dataclass(frozen=True)
class Size:
    """A model's size. eos_chance: that of EOS at each token, to begin with; 0: no reply ends by itself."""

    hidden: int
    layers: int
    words: int
    eos_chance: float

    def save(self, folder: Path, seed: int) -> Path:
        """Write the model and its tokenizer of whole words; -> `folder`.

        Two dimensions of every embedding are the same constant. They outlast the layers, so that the head can read from
        them logits that are the same everywhere: from one that of EOS, by `eos_chance`, from the other that of the
        special tokens that are never drawn, which training then has no reason to touch.
        """
        disable_progress_bar()
        tokenizer = word_tokenizer([f"w{i}" for i in range(self.words)])
        torch.manual_seed(seed)
        model = LlamaForCausalLM(LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=self.hidden, num_hidden_layers=self.layers,
            intermediate_size=4 * self.hidden, num_attention_heads=4, num_key_value_heads=4,
            max_position_embeddings=512, tie_word_embeddings=False, bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        ))  # fmt: skip
        embedding, head = model.model.embed_tokens.weight, model.lm_head.weight
        with torch.no_grad():
            embedding.normal_()
            embedding[:, :2] = 2.0
            head[:, :2] = 0.0
            hidden = model.model(torch.randint(len(SPECIAL), len(tokenizer), (8, 64))).last_hidden_state  # [B, T, H]
            ends, never = hidden[..., 0].mean(), hidden[..., 1].mean()
            head[: len(SPECIAL)] = 0.0
            head[: len(SPECIAL), 1] = NEVER / never
            if self.eos_chance:
                odds = self.eos_chance / (1 - self.eos_chance) * self.words
                head[tokenizer.eos_token_id, :2] = torch.tensor([math.log(odds) / ends, 0.0])
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    def prompts(self, n: int, shortest: int, longest: int, seed: int) -> list[str]:
        """`n` prompts of so many words, ANSWER among them."""
        rng = random.Random(seed)
        return [f"{some_words(rng.randint(shortest, longest) - 1, self.words, rng)} {ANSWER}" for _ in range(n)]
