"""Connected components of an undirected graph."""

from __future__ import annotations

import numpy as np

from fieldcraft.core.types import Array


def connected_components(n_items: int, pairs: Array) -> list[Array]:
    """Connected components with two items or more, each in order, largest first.

    >>> [group.tolist() for group in connected_components(6, np.array([[1, 2], [0, 3], [3, 4]]))]
    [[0, 3, 4], [1, 2]]

    Args:
        n_items: number of items, which are numbered from 0.
        pairs: the edges, shape (pairs, 2).
    """
    parent = list(range(n_items))

    def find_root(item: int) -> int:
        while parent[item] != item:
            # Path halving keeps the trees flat (Tarjan & van Leeuwen, JACM 1984); a chain of
            # pairs would otherwise take quadratic time.
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for left, right in pairs.tolist():
        # The lower root stays the root, so components are in the order of their first items, and
        # the sort by size keeps that order for ties.
        lower_root, higher_root = sorted((find_root(left), find_root(right)))
        parent[higher_root] = lower_root
    roots = np.array([find_root(item) for item in range(n_items)], dtype=np.int64)
    order = np.argsort(roots, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(roots[order])) + 1)
    return sorted((group for group in groups if len(group) > 1), key=lambda group: -len(group))
