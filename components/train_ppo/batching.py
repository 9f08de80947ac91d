"""Rollouts as one flat row of tokens, and the padded micro-batches cut from it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LAUNCH = 64  # what a forward costs beside its tokens, in tokens: below that, another micro-batch saves nothing


@dataclass(frozen=True)
class Batch:
    """b rollouts, padded on the right. T: the longest of query + response, R: the longest response.

    There is no attention mask: a causal model's token does not see what is right of it, so padding disturbs nothing
    (and may be any token: it is the row's last).
    """

    ids: Tensor  # [b, T] tokens
    places: Tensor  # [b, T] where they stand in Rollouts.tokens
    states: Tensor  # [b, R + 1] the position whose hidden state chooses response token t; at a row's end, the one after
    responses: Tensor  # [b, R] the response tokens
    mask: Tensor  # [b, R] 1.0 on response tokens


@dataclass(frozen=True)
class Rollouts:
    """B queries with their responses, every response of at least one token. N: tokens of all of them."""

    tokens: Tensor  # [N] query and response of row 0, of row 1, …
    starts: Tensor  # [B] where a row begins
    queries: Tensor  # [B] query lengths
    responses: Tensor  # [B] response lengths

    @classmethod
    def pack(cls, queries: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], device=None) -> "Rollouts":
        rows = [[*q, *r] for q, r in zip(queries, responses, strict=True)]
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.long)
        return cls(
            torch.tensor([t for row in rows for t in row], dtype=torch.long, device=device),
            (lengths.cumsum(0) - lengths).to(device),
            torch.tensor([len(q) for q in queries], dtype=torch.long, device=device),
            torch.tensor([len(r) for r in responses], dtype=torch.long, device=device),
        )

    @property
    def lengths(self) -> Tensor:
        return self.queries + self.responses  # [B]

    def mask(self) -> Tensor:
        """1.0 on response tokens, [B, R]."""
        return _up_to(self.responses)

    def batch(self, index: Tensor) -> Batch:
        """The rollouts at `index` [b], padded to the longest of them."""
        starts, queries, responses = self.starts[index, None], self.queries[index, None], self.responses[index, None]
        last = queries + responses - 1  # [b, 1]
        places = starts + torch.arange(int(last.max()) + 1, device=starts.device).minimum(last)  # [b, T]
        states = (queries - 1 + torch.arange(int(responses.max()) + 1, device=starts.device)).minimum(
            last
        )  # [b, R + 1]
        targets = (starts + states[:, :-1] + 1).minimum(starts + last)  # [b, R]
        return Batch(self.tokens[places], places, states, self.tokens[targets], _up_to(responses[:, 0]))


def _up_to(lengths: Tensor) -> Tensor:
    """Ones in the first `lengths` [b] columns: [b, longest]."""
    return (torch.arange(int(lengths.max()), device=lengths.device) < lengths[:, None]).float()


def micro_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of `lengths`, each once, in groups of similar length: those that cost least to compute.

    A group costs its size times its longest, padding included, and LAUNCH on top; it holds at most `budget` tokens, or
    one row. In order of length the best groups are neighbours, and the best cut of the first j rows is the best cut of
    the first i with rows i to j as one group.
    """
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    best, cut = [0.0], [0]  # of the first j rows: the least cost, and where its last group begins
    for j in range(1, len(order) + 1):
        longest = lengths[order[j - 1]]
        first = j - max(1, min(j, budget // longest))
        cost, begin = min((best[i] + (j - i) * longest + LAUNCH, i) for i in range(first, j))
        best.append(cost)
        cut.append(begin)
    groups, end = [], len(order)
    while end:
        groups.append(order[cut[end] : end])
        end = cut[end]
    return groups[::-1]
