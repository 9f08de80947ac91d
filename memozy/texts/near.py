"""Which texts are nearly the same: all pairs whose cosine reaches a threshold and no other, however many the texts.

A text is the counts of its character 2- to 4-grams, without IDF weights: whether two texts are near then hangs on the
two alone, and rows that arrive later cannot pull old ones together. Compared gram by gram are pairs whose rarest grams
agree enough that all others could make up for the rest (prefix filtering: Bayardo, Ma and Srikant 2007, «Scaling up all
pairs similarity search»); no other pair can reach the threshold. Grams are told apart by 48 bits of a hash.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from memozy.records import InputError
from memozy.texts.groups import linked

if TYPE_CHECKING:
    from scipy.sparse import csr_array

COPY = 0.95  # the cosine from which two texts are one with a retouch; distinct short diaries of one kind reach 0.85
LEADING = 0.95  # of the threshold: what a text's commoner grams may add to a cosine before they are looked at
CELLS = 2_000_000  # grams laid out at a time
PRODUCTS = 8_000_000  # grams that two texts share, met at a time
MOST = 10_000_000_000  # products in all, some minutes' work; a pair compared gram by gram takes as long as PAIR of them
PAIR = 1500
BINS = 256  # that a text's grams are counted in, to see at a glance, for GLANCE, that two texts cannot be near
GLANCE = 50

_END = ~np.uint64(0)  # where a text has no more grams
_STEP, _MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_BITS, _LOW = np.uint64(24), np.uint64(2**24 - 1)  # of a gram's hash, given to its count
_LARGEST = 26  # bits of a hash that choose a gram's counter: rare grams are to be alone with theirs


def near_pairs(texts: Sequence[str], threshold: float, spanning: bool = False) -> np.ndarray:
    """The pairs i < j of different texts whose cosine is at least `threshold`, in order: (m, 2) row numbers.

    Of equal texts the first stands for all. spanning: of the pairs only so many as join whatever all of them join; groups
    need no more, and where thousands of texts are alike there are millions more.
    Raises InputError where so many texts share even their rarest grams that to compare them would take very long.
    """
    first: dict[str, int] = {}
    for row, text in enumerate(texts):
        first.setdefault(text, row)
    known = sorted((len(text), row) for text, row in first.items() if len(text) > 1)
    if len(known) < 2:
        return np.empty((0, 2), dtype=np.int64)
    rows = np.array(known)[:, 1]
    search = _Search([texts[row] for row in rows], threshold, spanning)
    pairs = np.sort(rows[search.pairs()], axis=1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


class _Search:
    """texts: different ones of two characters or more, the shortest first, so that those laid out together are of a length."""

    def __init__(self, texts: list[str], threshold: float, spanning: bool) -> None:
        self.texts, self.threshold, self.spanning = texts, threshold, spanning
        self.lengths = np.array([len(text) for text in texts])
        self.bins = np.zeros((len(texts), BINS), dtype=np.uint8)  # grams of each text by a part of their hash
        self.slack = np.zeros(len(texts))  # by how much a sum of products may exceed what the bins have in common
        self.squares = np.zeros(len(texts))  # squared lengths of the vectors
        self.groups = np.arange(len(texts))  # texts have one number if nothing is gained by comparing them
        self.found = [np.empty((0, 2), dtype=np.int64)]
        self.spent = 0.0

    def pairs(self) -> np.ndarray:
        """Every text is held against those behind it, strip by strip: what is before a strip is then left out for good,
        and so are grams that join nothing new."""
        rare, start, budget = self._rarest_grams(), 0, PRODUCTS
        while start < len(self.texts):
            rare = _joining(rare, self.groups[start:])
            turned = rare.T.tocsr()
            met = _starts(np.diff(turned.indptr)[rare.indices])[rare.indptr]  # products before each text, and after all
            size = max(1, int(np.searchsorted(met[1:], budget, side="right")))
            cuts = [0, *np.flatnonzero(np.diff(met[1:size] // PRODUCTS)) + 1, size]
            for a, b in pairwise(cuts):
                self._spend(met[b] - met[a])
                shared = (rare[a:b] @ turned).tocoo()
                one, other = shared.coords
                maybe = (shared.data >= (1 - LEADING) * self.threshold - 1e-4) & (one + a < other)
                self._compare(np.column_stack((one[maybe] + (start + a), other[maybe] + start)))
            rare, start, budget = rare[size:], start + size, 2 * budget
        return np.concatenate(self.found)

    def _spend(self, products: float) -> None:
        self.spent += products
        if self.spent > MOST:
            raise InputError(f"{len(self.texts)} different texts are too much alike to be compared pair by pair",
                             field="text", remedy="Take out texts that come from one template, or raise near_duplicate")  # fmt: skip

    def _compare(self, pairs: np.ndarray) -> None:
        """Keep those of `pairs` that are near, and of the ones that join nothing new, if only such are asked for, none."""
        self._spend(GLANCE * len(pairs))
        step = max(1, CELLS // BINS)
        parts = [self._possible(pairs[start : start + step]) for start in range(0, len(pairs), step)]
        pairs = np.concatenate(parts) if parts else pairs
        widths = 6 * self.lengths[pairs[:, 1]]  # the longer one's, twice
        order = np.argsort(widths, kind="stable")
        for start, stop in _batches(widths[order]):
            some = pairs[order[start:stop]]
            some = some[self.groups[some[:, 0]] != self.groups[some[:, 1]]]
            self._spend(PAIR * len(some))
            near = some[self._cosines(some) >= self.threshold - 1e-9] if len(some) else some
            if len(near):
                self.found.append(near)
                if self.spanning:
                    self.groups = linked(len(self.groups), self.groups[near])[self.groups]

    def _possible(self, pairs: np.ndarray) -> np.ndarray:
        """Those of `pairs` whose bins have enough in common.

        With counts a and b of a gram, a b is at most min(a, b) + (a^2 - a) + (b^2 - b), and what two texts have in common
        of their grams, the sum of the minima, is no more than what they have in common of their bins.
        """
        one, other = pairs.T
        common = np.minimum(self.bins[one], self.bins[other]).sum(axis=1, dtype=np.int64)
        least = self.threshold * np.sqrt(self.squares[one] * self.squares[other])
        return pairs[common + self.slack[one] + self.slack[other] >= least - 1e-6]

    def _cosines(self, pairs: np.ndarray) -> np.ndarray:
        """Of pairs that are about equally long; where a gram stands in both, it stands twice in a row when both are sorted."""
        rows, place = np.unique(pairs, return_inverse=True)
        # a gram's hash, and in the low bits its count
        vectors = np.full((len(rows), 3 * self.lengths[rows[-1]]), _END & ~_LOW)
        for start, grams in self._laid_out(rows):
            grams >>= _BITS
            grams.sort(axis=1)
            row, gram, count = _runs(grams, _END >> _BITS)
            place_in = np.arange(len(row)) - _starts(np.bincount(row))[row]
            vectors[start + row, place_in] = gram << _BITS | count.astype(np.uint64)
        one, other = place.reshape(-1, 2).T
        both = np.concatenate((vectors[one], vectors[other]), axis=1)
        both.sort(axis=1)
        counts = both & _LOW
        products = counts[:, 1:] * counts[:, :-1]
        products *= both[:, 1:] ^ both[:, :-1] <= _LOW  # of one gram
        dots = products.sum(axis=1)
        return dots / np.sqrt(self.squares[pairs[:, 0]] * self.squares[pairs[:, 1]])

    def _rarest_grams(self) -> csr_array:
        """Of each text, brought to length 1, its rarest grams: as many as leave the others a length of LEADING x threshold.

        What is known of all its grams is noted on the way. Those that no other text has are left out of it. A column is a counter: grams may share one, which makes them look
        commoner and pairs look nearer than they are, and both is harmless.
        """
        from scipy.sparse import csr_array

        bits = min(_LARGEST, int(3 * self.lengths.sum()).bit_length())
        shift, low, high = np.uint64(64 - bits), np.uint64(16), np.uint64(48)
        often = np.zeros(1 << bits, dtype=np.uint32)
        everything = np.arange(len(self.texts))
        for _, grams in self._laid_out(everything):
            np.add.at(often, (grams.ravel() >> shift).astype(np.int64), np.uint32(1))
        columns, values, sizes = [], [], []
        for start, grams in self._laid_out(everything):
            rarity = np.minimum(often[(grams >> shift).astype(np.int64)], 0xFFFF).astype(np.uint64)
            keys = np.where(grams == _END, _END, rarity << high | grams >> low)
            keys.sort(axis=1)  # rarest first, in one order for all texts
            row, key, count = _runs(keys, _END)
            squares = count * count
            after = np.cumsum(squares)
            ends = after[np.cumsum(np.bincount(row)) - 1]
            lengths = np.diff(ends, prepend=0)
            before = after - squares - (ends - lengths)[row]
            kept = (before <= (1 - (LEADING * self.threshold) ** 2) * lengths[row]) & (key >> high > 1)
            columns.append((key[kept] << low >> shift).astype(np.int32))
            values.append((count[kept] / np.sqrt(lengths[row[kept]])).astype(np.float32))
            sizes.append(np.bincount(row[kept], minlength=len(grams)))
            here = slice(start, start + len(grams))
            cell = row * BINS + (key & np.uint64(BINS - 1)).astype(np.int64)
            bins = np.bincount(cell, count, len(grams) * BINS).reshape(-1, BINS)
            self.bins[here] = np.minimum(bins, 255)
            self.squares[here] = lengths
            self.slack[here] = np.where(bins.max(axis=1) > 255, np.inf, lengths - np.bincount(row, count))
        columns = np.concatenate(columns)
        often[:] = 0
        often[columns] = 1
        used = np.flatnonzero(often)
        often[used] = np.arange(len(used))
        columns = often[columns].astype(np.int32)
        shape = (len(self.texts), len(used))
        return csr_array((np.concatenate(values), columns, _starts(np.concatenate(sizes))), shape=shape)

    def _laid_out(self, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """The hashed grams of the texts `rows` (in order), [n, W] at a time, and which of `rows` comes first in it."""
        for start, stop in _batches(3 * self.lengths[rows]):
            yield start, _hashed([self.texts[row] for row in rows[start:stop]], self.lengths[rows[start:stop]])


def _batches(widths: np.ndarray) -> Iterator[tuple[int, int]]:
    """(start, stop) of rows of these widths, the narrowest first, that make up CELLS when all are as wide as the last."""
    start = 0
    while start < len(widths):
        some = widths[start : start + max(1, CELLS // widths[start])]
        stop = start + max(1, int(np.searchsorted(some * np.arange(1, len(some) + 1), CELLS, side="right")))
        yield start, stop
        start = stop


def _hashed(texts: list[str], lengths: np.ndarray) -> np.ndarray:
    """The 2- to 4-grams of texts of two characters or more, each by its hash, and _END where a text has no more: [n, W]."""
    codes = np.array(texts, dtype=f"<U{lengths[-1]}").view(np.uint32).reshape(len(texts), -1).astype(np.uint64)
    sum_, grams = codes, []
    for size in (2, 3, 4):
        sum_ = sum_[:, :-1] * _STEP + codes[:, size - 1 :]
        mixed = sum_ * _MIX
        mixed ^= mixed >> np.uint64(32)
        mixed *= _MIX
        mixed[np.arange(mixed.shape[1]) > (lengths - size)[:, None]] = _END
        grams.append(mixed)
    return np.concatenate(grams, axis=1)


def _runs(keys: np.ndarray, end: np.uint64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, key and how often it stands there, of each row's different keys but `end`; keys: [n, W], sorted in each row."""
    new = np.ones(keys.shape, dtype=bool)
    np.not_equal(keys[:, 1:], keys[:, :-1], out=new[:, 1:])
    at = np.flatnonzero(new)
    count, key = np.diff(at, append=keys.size), keys.ravel()[at]
    real = key != end
    return at[real] // keys.shape[1], key[real], count[real]


def _joining(rare: csr_array, groups: np.ndarray) -> csr_array:
    """`rare` without the grams whose texts are all of one group."""
    from scipy.sparse import csr_array

    mine = np.repeat(groups.astype(np.int64), np.diff(rare.indptr))  # of one type with `least`: else `at` is slow
    least, most = np.full(rare.shape[1], np.iinfo(np.int64).max), np.full(rare.shape[1], -1)
    np.minimum.at(least, rare.indices, mine)
    np.maximum.at(most, rare.indices, mine)
    kept = (least < most)[rare.indices]
    return csr_array((rare.data[kept], rare.indices[kept], _starts(kept)[rare.indptr]), shape=rare.shape)


def _starts(sizes: np.ndarray) -> np.ndarray:
    """Where each of consecutive parts starts, and where the last one ends."""
    return np.append(0, np.cumsum(sizes))
