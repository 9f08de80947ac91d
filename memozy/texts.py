"""Texts as every part reads them, which of them are one text to a model, and what that joins."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Sequence

import numpy as np

CELLS = 20_000_000  # of the similarity matrix, compared at a time
COPY = 0.95  # the cosine from which two texts are one with a retouch; distinct short diaries of one kind reach 0.85
LEADING = 0.8  # of the threshold: what a text's commoner grams may add to a cosine before they are looked at

# marks of a fence and of chat templates (<|im_end|>, [|assistant|], [INST]), also as NFKC would make them
_MARKS = str.maketrans("<>[]|＜＞［］｜", "‹›〔〕¦‹›〔〕¦")


def clean(text: str) -> str:
    """The form in which a text is read everywhere: composed (NFC), without surrounding white space.

    Half a character, as a text cut in the middle of one may hold (a lone surrogate), becomes U+FFFD.
    """
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return unicodedata.normalize("NFC", whole).strip()


def normalise(text: str) -> str:
    """NFC, case folded, letters and digits only; a text without any keeps its signs.

    normalise("오늘, 좋았다!") == normalise("오늘 좋았다") == "오늘좋았다"
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return re.sub(r"[\W_]+", "", folded) or "".join(folded.split())


def fenced(text: str, tag: str) -> str:
    """A stranger's text between tags, to be shown to a model; its own brackets and bars become look-alikes, so that
    neither the closing tag nor a chat template's marker can stand in it."""
    return f"<{tag}>\n{text.translate(_MARKS)}\n</{tag}>"


def near_pairs(texts: Sequence[str], threshold: float) -> np.ndarray:
    """The pairs i < j of different texts whose cosine is at least `threshold`: (m, 2) row numbers.

    Of equal texts the first stands for all. The vectors are counts of character 2- to 4-grams without
    IDF weights: whether two texts are near then hangs on the two alone, and rows that arrive later
    cannot pull old ones together. No pair is missed, whatever the number of texts: those are compared
    whose rarest grams agree enough that the rest could make up for it (prefix filtering, Bayardo et al. 2007).
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    first = {text: row for row, text in reversed(list(enumerate(texts)))}
    found = [np.empty((0, 2), dtype=np.int64)]
    if len(first) < 2:
        return found[0]
    rows = np.sort(np.fromiter(first.values(), dtype=np.int64))
    grams = HashingVectorizer(analyzer="char", ngram_range=(2, 4), alternate_sign=False, lowercase=False)
    vectors = grams.transform([texts[row] for row in rows]).astype(np.float32)
    rare = _rarest_grams(vectors, LEADING * threshold)
    turned = rare.T.tocsr()
    step = max(1, CELLS // len(rows))
    for start in range(0, len(rows), step):
        shared = (rare[start : start + step] @ turned).tocoo()
        maybe = (shared.data >= (1 - LEADING) * threshold - 1e-4) & (shared.row + start < shared.col)
        i, j = shared.row[maybe] + start, shared.col[maybe]
        near = np.asarray(vectors[i].multiply(vectors[j]).sum(axis=1)).ravel() >= threshold - 1e-6
        found.append(np.column_stack((rows[i[near]], rows[j[near]])))
    return np.concatenate(found)


def _rarest_grams(vectors, rest: float):
    """Of each row (CSR, unit length) its rarest grams, as many as leave the others a length of at most `rest`."""
    count = np.bincount(vectors.indices, minlength=vectors.shape[1])[vectors.indices]
    row = np.repeat(np.arange(vectors.shape[0]), np.diff(vectors.indptr))
    order = np.lexsort((vectors.indices, count, row))  # within each row, in one order for all
    squares = vectors.data[order].astype(np.float64) ** 2
    before = np.cumsum(squares) - squares
    before -= before[vectors.indptr[row]]
    rarest = vectors.copy()
    rarest.data[order[before > 1 - rest**2]] = 0
    rarest.eliminate_zeros()
    return rarest


def connected(columns: Sequence[Sequence[Hashable]], pairs: np.ndarray) -> np.ndarray:
    """A group number for each row.

    Rows that agree in any one of `columns` (each as long as there are rows) share a group, and so do
    the rows that `pairs` (n × 2 row numbers) name.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_rows = len(columns[0])
    links, nodes = [np.asarray(pairs, dtype=np.int64).reshape(-1, 2)], n_rows
    for column in columns:
        values = {value: nodes + i for i, value in enumerate(dict.fromkeys(column))}  # a node for each value
        links.append(
            np.array([(row, values[value]) for row, value in enumerate(column)], dtype=np.int64).reshape(-1, 2)
        )
        nodes += len(values)
    ends = np.concatenate(links)
    graph = coo_array((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1][:n_rows]
