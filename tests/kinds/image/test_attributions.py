"""Gradient attributions find the image region that a network uses."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from fieldcraft.bundle.encoder_set import EncoderSet
from fieldcraft.core.types import Array
from fieldcraft.data.schema import Column, Schema
from fieldcraft.fit.network import FusedNetwork, IdentityNet
from fieldcraft.fit.trunk import MLP
from fieldcraft.kinds.image.attributions import (
    compute_grad_cam,
    compute_image_attributions,
    compute_pixel_gradients,
    find_last_convolution,
    make_score_function,
)
from fieldcraft.modeling.feature_importance import WeightedEnsemble
from fieldcraft.modeling.local_explanations import ExplainedOutput, network_attributions
from tests.encoding import fit_and_encode
from tests.images import save_image


class CornerBrightness(nn.Module):
    """Returns the brightness of the upper left corners of a row's images."""

    inputs = ("image",)
    feature_widths = (1,)
    recipe = None

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 1, 3, padding=1, bias=False)
        self.second = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        for layer in (self.first, self.second):
            nn.init.constant_(layer.weight, 0.1)

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        rows = len(tensors["image"])
        photos = tensors["image"].flatten(0, 1).permute(0, 3, 1, 2).float() / 255
        activations = self.second(self.first(photos))[:, 0, :8, :8].mean((1, 2))
        brightness: Tensor = activations.view(rows, -1).sum(1, keepdim=True)
        return brightness


class SaturatedHead(nn.Module):
    """Returns saturated logits that increase with the input."""

    def forward(self, joined: Tensor) -> Tensor:
        return 99 * torch.stack([-joined.sum(1), joined.sum(1)], dim=1)[:, None]


def build_network() -> FusedNetwork:
    nets = {"image": CornerBrightness(), "more": IdentityNet("more", 1)}
    return FusedNetwork(
        nets, lambda feature_widths, n_outputs: SaturatedHead(), 2, lambda raw: raw.softmax(-1)
    )


@pytest.fixture
def tensors() -> dict[str, Array]:
    """A row of two images, the second without contrast."""
    photos = np.full((1, 2, 24, 24, 3), 60, dtype=np.uint8)
    photos[0, 0, :6, :6] = 250
    return {"image": photos, "more": np.zeros((1, 1), dtype=np.float32)}


@pytest.mark.parametrize("sign", [1, -1])
def test_both_attributions_find_the_corner(tensors: dict[str, Array], sign: int) -> None:
    built = build_network()
    given = {name: torch.as_tensor(array) for name, array in tensors.items()}
    score = make_score_function(built, given, 1 if sign > 0 else 0, "probabilities")
    photos = given["image"].float()
    layer = find_last_convolution(built)
    assert layer is built.nets["image"].second
    for result in (
        compute_pixel_gradients(score, photos.clone()),
        compute_grad_cam(score, photos.clone(), layer),
    ):
        third = result.shape[1] // 3
        corner = sign * result[0, :third, :third].mean()
        assert corner > 0.2
        assert corner > 2 * abs(result[0, 2 * third :, 2 * third :].mean())
        assert np.isfinite(result).all()


def test_each_image_has_heatmaps(tensors: dict[str, Array]) -> None:
    result = compute_image_attributions(build_network(), tensors, 1, "probabilities")
    assert [set(item) for item in result] == [{"integrated_gradients", "grad_cam"}] * 2
    for item in result:
        for drawn in item.values():
            head, _, body = drawn["heatmap"].partition(",")
            assert head == "data:image/jpeg;base64"
            assert Image.open(io.BytesIO(base64.b64decode(body))).size == (160, 160)


def test_a_network_without_convolutions_has_no_grad_cam() -> None:
    assert find_last_convolution(nn.Linear(2, 2)) is None
    assert (
        find_last_convolution(nn.Sequential(nn.Conv2d(3, 8, 16, stride=16), nn.Linear(2, 2)))
        is None
    )


def test_a_network_without_pixels_has_no_attributions() -> None:
    assert compute_image_attributions(build_network(), {"more": np.zeros((1, 1))}, 0, "value") == []
    assert (
        compute_image_attributions(build_network(), {"image": np.zeros((1, 512))}, 0, "value") == []
    )


def test_grad_cam_ignores_the_flipped_image(
    tmp_path: Path,
) -> None:
    frame = pl.DataFrame({"a": [save_image(tmp_path / f"{i}.png", i) for i in range(6)]})
    encoders = EncoderSet(
        Schema((Column("a", "image", {"image_size": 32, "horizontal_flip": True}),))
    )
    tensors = fit_and_encode(encoders, frame, np.zeros((6, 1))).tensors()
    built = FusedNetwork(
        encoders.build_nets(),
        lambda feature_widths, n_outputs: MLP(
            feature_widths, n_outputs, hidden_sizes=(), dropout=0.0
        ),
        2,
        lambda raw: raw,
    ).eval()
    net: Any = built.nets["image"]
    assert net.use_flip
    one = {name: array[:1] for name, array in tensors.items()}
    result = compute_image_attributions(built, one, 0, "probabilities")[0]["grad_cam"]
    assert net.use_flip
    net.use_flip = False
    assert compute_image_attributions(built, one, 0, "probabilities")[0]["grad_cam"] == result


def test_members_without_a_network_are_skipped(
    tmp_path: Path,
) -> None:
    """The member with a network and the largest weight is explained, for every image column."""
    frame = pl.DataFrame({name: [save_image(tmp_path / f"{name}{i}.png", i) for i in range(6)]
                          for name in "ab"})  # fmt: skip
    schema = Schema(tuple(Column(name, "image", {"image_size": 32}) for name in "ab"))
    encoders = EncoderSet(schema)
    fit_and_encode(encoders, frame, np.zeros((6, 1)))
    built = FusedNetwork(
        encoders.build_nets(),
        lambda feature_widths, n_outputs: MLP(
            feature_widths, n_outputs, hidden_sizes=(), dropout=0.0
        ),
        2,
        lambda raw: raw,
    ).eval()
    trees = SimpleNamespace(fitted=SimpleNamespace(), encoders=encoders)
    deep = SimpleNamespace(fitted=SimpleNamespace(network=built), encoders=encoders)
    model: Any = WeightedEnsemble([[(deep, 0.2), (trees, 0.8)]], {})  # type: ignore[list-item]
    rows: Any = SimpleNamespace(schema=schema, task=SimpleNamespace(output="probabilities"))
    result = network_attributions(model, rows, frame[:1], ExplainedOutput(1, "yes", 1.0))
    assert set(result) == {"a", "b"}
    assert set(result["a"]) == {"integrated_gradients", "grad_cam"}
    none: Any = WeightedEnsemble([[(trees, 1.0)]], {})  # type: ignore[list-item]
    assert network_attributions(none, rows, frame[:1], ExplainedOutput(1, "yes", 1.0)) == {}
