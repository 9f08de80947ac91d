"""The micro-world's tokenizer: BPE in which every slot and slot value is one token, so that it can be copied."""

from collections.abc import Iterable, Sequence

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from microworld.contexts import MOODS, PEOPLE, PHOTOS, PLACES

SLOTS = ("{place}", "{people}", "{mood}", "{photo}")
LONGEST = 24  # characters of a token that holds several words
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ '</s>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def slot_values() -> tuple[str, ...]:
    return (*PLACES, *PEOPLE, *MOODS, *PHOTOS)


def train_tokenizer(
    texts: Iterable[str], size: int, atoms: Sequence[str] = (), phrases: bool = False
) -> PreTrainedTokenizerFast:
    """A byte-fallback BPE of `size` entries; text round-trips exactly, whatever it holds.

    atoms: what is one token besides slots and slot values. phrases: whether a token may hold several words, which
    halves the length of texts made of set phrases.
    """
    specials = ["<pad>", "</s>", "<|user|>", "<|assistant|>", "<unk>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = (
        pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
        if phrases
        else pre_tokenizers.Sequence(
            [pre_tokenizers.Metaspace(prepend_scheme="never"), pre_tokenizers.Split("\n", "isolated")]
        )
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Fuse(), decoders.Metaspace(prepend_scheme="never")]
    )
    tokenizer.add_special_tokens(specials)
    added = [AddedToken(v, normalized=False) for v in (*SLOTS, *slot_values(), *atoms)]
    tokenizer.add_tokens(added)
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(added), special_tokens=[*specials, *(f"<0x{i:02X}>" for i in range(256))],
        show_progress=False, max_token_length=LONGEST if phrases else None,
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens(added)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", chat_template=CHAT_TEMPLATE
    )
