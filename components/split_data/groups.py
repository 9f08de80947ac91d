"""Which rows belong together: those linked by a value they share or by a near-duplicate, however indirectly."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np


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
