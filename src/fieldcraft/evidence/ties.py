"""Groups of things that pairs of them tie together."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def tied_groups(count: int, pairs: Array) -> list[Array]:
    """The groups of two things and more that pairs tie together, each in order, largest first.

    >>> [group.tolist() for group in tied_groups(6, np.array([[1, 2], [0, 3], [3, 4]]))]
    [[0, 3, 4], [1, 2]]

    Args:
        count: of the things, which are numbered from 0.
        pairs: numbers of things that belong together, shape (pairs, 2).
    """
    head = list(range(count))

    def first(thing: int) -> int:
        while head[thing] != thing:
            head[thing] = head[head[thing]]
            thing = head[thing]
        return thing

    for one, two in pairs.tolist():
        low, high = sorted((first(one), first(two)))
        head[high] = low
    found = np.array([first(thing) for thing in range(count)], dtype=np.int64)
    order = np.argsort(found, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(found[order])) + 1)
    return sorted((group for group in groups if len(group) > 1), key=lambda group: -len(group))
