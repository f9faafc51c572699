"""Attention rollout of vision transformers over the patches of an image."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from fieldcraft.bundle.encoder_set import EncoderSet
from fieldcraft.data.schema import Column, Schema
from fieldcraft.fit.network import FusedNetwork
from fieldcraft.fit.trunk import MLP
from fieldcraft.kinds.image import architectures
from fieldcraft.kinds.image.attention_rollout import compute_attention_map, roll_out_attention
from fieldcraft.kinds.image.attributions import compute_image_attributions
from fieldcraft.kinds.image.hf_backbone import PooledImageBackbone
from tests.encoding import fit_and_encode
from tests.images import save_image

PATCH_SIZE = 8


class BrightPatchAttention(nn.Module):
    """A transformer whose tokens attend to bright patches only."""

    def __init__(self, n_prefix_tokens: int, n_layers: int = 2) -> None:
        super().__init__()
        self.config = SimpleNamespace(patch_size=PATCH_SIZE)
        self.n_prefix_tokens, self.n_layers = n_prefix_tokens, n_layers
        if n_prefix_tokens:
            self.cls_token = nn.Parameter(torch.zeros(1))

    def forward(self, pixel_values: Tensor, output_attentions: bool) -> Any:
        assert output_attentions
        brightness = nn.functional.avg_pool2d(
            pixel_values.mean(1, keepdim=True), PATCH_SIZE
        ).flatten(1)
        attention_row = (
            20 * nn.functional.pad(brightness, (self.n_prefix_tokens, 0), value=-1)
        ).softmax(1)
        attention = attention_row[:, None, None, :].expand(-1, 3, attention_row.shape[1], -1)
        return SimpleNamespace(attentions=(attention,) * self.n_layers)


class WrapperNet(nn.Module):
    """A wrapper of an image network."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def normalize_pixels(self, photos: Tensor) -> Tensor:
        return photos.flatten(0, 1).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("extra", [0, 1, 5])
def test_the_brightest_patch_has_the_largest_weight(
    extra: int,
) -> None:
    photos = torch.zeros(1, 2, 32, 32, 3, dtype=torch.uint8)
    photos[0, 0, 8:16, 16:24], photos[0, 1, 24:, :8] = 250, 250
    result = compute_attention_map(
        WrapperNet(PooledImageBackbone(BrightPatchAttention(extra))), photos
    )
    assert result is not None
    assert result.shape == (2, 4, 4)
    assert [int(weights.argmax()) for weights in result] == [4 + 2, 12]
    assert (float(result.min()), float(result.max())) == (0, 1)


def test_rollout_multiplies_layers_with_residual_connections() -> None:
    first, second = torch.rand(2, 3, 2, 5, 5).softmax(-1)
    same = torch.eye(5)
    expected = (second.mean(1) / 2 + same / 2) @ (first.mean(1) / 2 + same / 2)
    torch.testing.assert_close(roll_out_attention([first, second]), expected)
    assert roll_out_attention([first, second]).sum(-1).allclose(torch.ones(3, 5))
    one = torch.zeros(1, 1, 2, 2)
    one[..., 1] = 1.0  # all attend to the second token
    assert roll_out_attention([one, one])[0].tolist() == [[0.25, 0.75], [0, 1]]


def test_networks_without_full_attention_have_no_rollout() -> None:
    photos = torch.zeros(1, 1, 32, 32, 3, dtype=torch.uint8)
    assert compute_attention_map(WrapperNet(nn.Conv2d(3, 4, 3)), photos) is None
    windows = BrightPatchAttention(0)
    windows.config.patch_size = 2  # more patches than tokens
    assert compute_attention_map(WrapperNet(PooledImageBackbone(windows)), photos) is None
    assert (
        compute_attention_map(
            WrapperNet(PooledImageBackbone(BrightPatchAttention(0, n_layers=0))), photos
        )
        is None
    )


def test_a_transformer_trained_from_scratch_has_a_rollout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(architectures, "VIT_WIDTH", 24)
    monkeypatch.setattr(architectures, "VIT_LAYERS", 2)
    frame = pl.DataFrame({"a": [save_image(tmp_path / f"{i}.png", i) for i in range(6)]})
    encoders = EncoderSet(Schema((Column("a", "image", {"image_size": 32, "encoder": "vit"}),)))
    tensors = fit_and_encode(encoders, frame, np.zeros((6, 1))).tensors()
    built = FusedNetwork(
        encoders.build_nets(),
        lambda feature_widths, n_outputs: MLP(
            feature_widths, n_outputs, hidden_sizes=(), dropout=0.0
        ),
        2,
        lambda raw: raw,
    ).eval()
    one = {name: array[:1] for name, array in tensors.items()}
    (result,) = compute_image_attributions(built, one, 0, "probabilities")
    assert set(result) == {"integrated_gradients", "attention_rollout"}
    assert result["attention_rollout"]["heatmap"].startswith("data:image/jpeg")
