"""Connected components are SciPy's, whatever the order of the pairs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_array, csgraph

from fieldcraft.statistics.connected_components import connected_components


@pytest.mark.parametrize("seed", range(5))
def test_components_are_those_of_scipy(seed: int) -> None:
    pairs = np.random.default_rng(seed).integers(0, 200, (120, 2))
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(200, 200))
    count, component = csgraph.connected_components(graph, directed=False)
    expected = {tuple(np.flatnonzero(component == c)) for c in range(count)}
    groups = connected_components(200, pairs)
    assert {tuple(group) for group in groups} == {group for group in expected if len(group) > 1}
    assert [len(group) for group in groups] == sorted(map(len, groups), reverse=True)


def test_a_long_chain_is_one_component() -> None:
    chain = np.stack([np.arange(499), np.arange(1, 500)], axis=1)
    for pairs in (chain, chain[::-1], chain[:, ::-1]):
        (group,) = connected_components(500, pairs)
        assert group.tolist() == list(range(500))


def test_without_pairs_there_are_no_components() -> None:
    no_pairs = np.zeros((0, 2), dtype=np.int64)
    assert connected_components(5, no_pairs) == connected_components(0, no_pairs) == []
