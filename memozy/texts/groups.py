"""What is linked, however indirectly, is one group."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import polars as pl


def connected(columns: Sequence[Sequence[Hashable]], pairs: np.ndarray) -> np.ndarray:
    """A group number for each row.

    Rows that agree in any one of `columns` (each as long as there are rows, of one type) share a group, and so do
    the rows that `pairs` (n × 2 row numbers) name.
    """
    rows = np.arange(len(columns[0]))
    links = [np.asarray(pairs, dtype=np.int64).reshape(-1, 2)]
    for column in columns:
        first = pl.DataFrame({"row": rows, "value": column}).select(pl.col("row").min().over("value")).to_series()
        links.append(np.column_stack((rows, first)))
    return linked(len(rows), np.concatenate(links))


def linked(n: int, pairs: np.ndarray) -> np.ndarray:
    """A group number below n for each of n rows, of which `pairs` (m × 2) are linked."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1]
