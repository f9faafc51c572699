"""Encoder nets, which embed encoded columns for the network."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
import torch

from fieldcraft.core.types import Array
from fieldcraft.data.schema import Column
from fieldcraft.kinds.category.encode import CategoryEncoder
from fieldcraft.kinds.category.net import MAX_ONE_HOT_LEVELS, CategoryNet, build_level_embedding
from fieldcraft.kinds.number.encode import NumberEncoder
from fieldcraft.kinds.number.net import (
    EMBEDDING_DIM,
    NARROW_ABOVE_FEATURES,
    NARROW_EMBEDDING_DIM,
    NumberNet,
    PiecewiseLinearEmbedding,
)
from tests.encoding import fit_and_encode

EDGES = [np.array([-2.0, -1.0, 0.5, 3.0]), np.array([0.0, 1.0]), np.array([-1.0, 0.0, 1.0])]


def build_embedding(is_trained: bool = True) -> PiecewiseLinearEmbedding:
    """Build an embedding of three features with three, one and two bins."""
    torch.manual_seed(0)
    net = PiecewiseLinearEmbedding(EDGES).double()
    if is_trained:
        torch.nn.init.normal_(net.piece_weights)
    return net


def embed_values(feature: int, x: Array) -> Array:
    """Return the vectors of a trained embedding for values of one feature."""
    values = torch.zeros(len(x), len(EDGES), dtype=torch.float64)
    values[:, feature] = torch.as_tensor(x)
    vectors: Array = (
        build_embedding()(values)
        .reshape(len(x), len(EDGES), EMBEDDING_DIM)[:, feature]
        .detach()
        .numpy()
    )
    return vectors


def test_an_untrained_embedding_is_linear() -> None:
    net, x = (
        build_embedding(is_trained=False),
        torch.linspace(-5, 5, 30, dtype=torch.float64)[:, None],
    )
    expected = (x.expand(30, 3)[:, :, None] * net.weight + net.bias).flatten(1)
    torch.testing.assert_close(net(x.expand(30, 3)), expected)


@pytest.mark.parametrize("feature", range(3))
def test_a_trained_embedding_is_continuous(feature: int) -> None:
    for edge in EDGES[feature]:
        left, right = embed_values(feature, np.array([edge - 1e-9, edge + 1e-9]))
        np.testing.assert_allclose(left, right, atol=1e-7)


@pytest.mark.parametrize("feature", range(3))
def test_a_trained_embedding_is_linear_within_bins_and_beyond_the_ends(feature: int) -> None:
    inner = EDGES[feature]
    segment_ends = [-9.0, *inner[1:-1], 9.0]  # the first and the last bin are unbounded
    for low, high in pairwise(segment_ends):
        points = embed_values(feature, np.linspace(low, high, 9))
        np.testing.assert_allclose(np.diff(points, n=2, axis=0), 0, atol=1e-6)


@pytest.mark.parametrize("feature", [0, 2])
def test_a_trained_embedding_bends_at_inner_edges(feature: int) -> None:
    for edge in EDGES[feature][1:-1]:
        points = embed_values(feature, np.array([edge - 0.1, edge, edge + 0.1]))
        assert np.abs(np.diff(points, n=2, axis=0)).max() > 1e-3


def test_features_are_embedded_independently() -> None:
    net = build_embedding()
    x = torch.zeros(2, 3, dtype=torch.float64)
    x[1, 1] = 0.7
    moved = (net(x)[1] - net(x)[0]).reshape(3, EMBEDDING_DIM).abs().sum(1)
    assert moved[1] > 0
    assert moved[[0, 2]].tolist() == [0, 0]


def test_many_features_get_narrow_vectors() -> None:
    assert (
        PiecewiseLinearEmbedding([np.array([0.0, 1.0])] * NARROW_ABOVE_FEATURES).embedding_dim
        == EMBEDDING_DIM
    )
    assert (
        PiecewiseLinearEmbedding([np.array([0.0, 1.0])] * (NARROW_ABOVE_FEATURES + 1)).embedding_dim
        == NARROW_EMBEDDING_DIM
    )


def build_number_net(*columns: list[float | None]) -> tuple[NumberEncoder, dict[str, torch.Tensor]]:
    rows = pl.DataFrame({f"x{i}": column for i, column in enumerate(columns)})
    encoder = NumberEncoder([Column(name, "number") for name in rows.columns])
    result = fit_and_encode(encoder, rows, np.zeros((rows.height, 0))).tensors()
    return encoder, {name: torch.as_tensor(array) for name, array in result.items()}


def test_missing_flags_are_passed_through() -> None:
    holed = [None if i % 4 == 0 else float(i) for i in range(80)]
    encoder, tensors = build_number_net(holed, [float(i % 13) for i in range(80)])
    net = NumberNet(encoder)
    assert net.feature_widths == (EMBEDDING_DIM, EMBEDDING_DIM, 1)
    torch.testing.assert_close(net(tensors)[:, -1], tensors["number_missing"][:, 0])


def test_a_net_without_embeddings_passes_numbers_through() -> None:
    encoder, tensors = build_number_net([float(i) for i in range(80)])
    net = NumberNet(encoder, without_embeddings=True)
    assert net.feature_widths == (1,)
    torch.testing.assert_close(net(tensors), tensors["number"])


def test_constant_numbers_have_a_net() -> None:
    encoder, tensors = build_number_net([5.0] * 30)
    net = NumberNet(encoder)
    assert net.feature_widths == (1,)
    assert net(tensors).tolist() == [[0.0]] * 30


def test_few_levels_have_fixed_one_hot_vectors() -> None:
    table = build_level_embedding(MAX_ONE_HOT_LEVELS)
    assert not table.weight.requires_grad
    assert torch.equal(
        table(torch.arange(MAX_ONE_HOT_LEVELS + 1)), torch.eye(MAX_ONE_HOT_LEVELS + 1)
    )


@pytest.mark.parametrize(("levels", "width"), [(MAX_ONE_HOT_LEVELS + 1, 8), (40, 8), (5_000, 8)])
def test_many_levels_have_trainable_embeddings(levels: int, width: int) -> None:
    torch.manual_seed(0)
    table = build_level_embedding(levels)
    assert table.weight.requires_grad
    assert table.weight.shape == (levels + 1, width)
    lengths = table.weight.detach().norm(dim=1)
    assert float(lengths.mean()) == pytest.approx(1, abs=0.25)


def test_target_means_are_standardized_for_networks() -> None:
    level = np.random.default_rng(0).integers(0, 60, 3_000)
    encoder = CategoryEncoder([Column("x", "category")])
    encoded = fit_and_encode(
        encoder,
        pl.DataFrame({"x": [f"v{i}" for i in level]}),
        np.stack([100.0 * level, level % 2], axis=1),
    )
    tensors = {name: torch.as_tensor(array) for name, array in encoded.tensors().items()}
    net = CategoryNet(encoder)
    assert net.feature_widths == (8, 1, 1, 1)
    result = net(tensors)[:, -3:-1].detach()
    np.testing.assert_allclose(result.mean(0), 0, atol=0.1)
    np.testing.assert_allclose(result.std(0), 1, atol=0.1)
