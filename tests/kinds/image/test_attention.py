"""The attention of a vision transformer is followed back to the patches of a photo."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from fieldcraft.bundle.encoders import EncoderSet
from fieldcraft.data.table import Column, Schema
from fieldcraft.fit.network import FusedNetwork
from fieldcraft.fit.trunk import Mlp
from fieldcraft.kinds.image import scratch
from fieldcraft.kinds.image.attention import attended, rolled_out
from fieldcraft.kinds.image.export import Vector
from fieldcraft.kinds.image.gradients import maps
from tests.drawing import draw_photo
from tests.encoding import fit_encode

PATCH = 8


class Bright(nn.Module):
    """A transformer of which every token looks at bright patches only."""

    def __init__(self, extra: int, layers: int = 2) -> None:
        super().__init__()
        self.config = SimpleNamespace(patch_size=PATCH)
        self.extra, self.layers = extra, layers
        if extra:
            self.cls_token = nn.Parameter(torch.zeros(1))

    def forward(self, pixel_values: Tensor, output_attentions: bool) -> Any:
        assert output_attentions
        light = nn.functional.avg_pool2d(pixel_values.mean(1, keepdim=True), PATCH).flatten(1)
        to = (20 * nn.functional.pad(light, (self.extra, 0), value=-1)).softmax(1)
        whole = to[:, None, None, :].expand(-1, 3, to.shape[1], -1)
        return SimpleNamespace(attentions=(whole,) * self.layers)


class Net(nn.Module):
    """A net over photos."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def standardised(self, photos: Tensor) -> Tensor:
        return photos.flatten(0, 1).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("extra", [0, 1, 5])
def test_the_brightest_patch_counts_most_whatever_tokens_stand_before_the_patches(
    extra: int,
) -> None:
    photos = torch.zeros(1, 2, 32, 32, 3, dtype=torch.uint8)
    photos[0, 0, 8:16, 16:24], photos[0, 1, 24:, :8] = 250, 250
    found = attended(Net(Vector(Bright(extra))), photos)
    assert found is not None
    assert found.shape == (2, 4, 4)
    assert [int(weights.argmax()) for weights in found] == [4 + 2, 12]
    assert (float(found.min()), float(found.max())) == (0, 1)


def test_attention_is_followed_through_all_layers_and_tokens_keep_half() -> None:
    first, second = torch.rand(2, 3, 2, 5, 5).softmax(-1)
    same = torch.eye(5)
    wanted = (second.mean(1) / 2 + same / 2) @ (first.mean(1) / 2 + same / 2)
    torch.testing.assert_close(rolled_out([first, second]), wanted)
    assert rolled_out([first, second]).sum(-1).allclose(torch.ones(3, 5))
    one = torch.zeros(1, 1, 2, 2)
    one[..., 1] = 1.0  # all look at the second token
    assert rolled_out([one, one])[0].tolist() == [[0.25, 0.75], [0, 1]]


def test_networks_without_attention_among_all_patches_have_no_such_map() -> None:
    photos = torch.zeros(1, 1, 32, 32, 3, dtype=torch.uint8)
    assert attended(Net(nn.Conv2d(3, 4, 3)), photos) is None
    windows = Bright(0)
    windows.config.patch_size = 2  # more patches than any token sees
    assert attended(Net(Vector(windows)), photos) is None
    assert attended(Net(Vector(Bright(0, layers=0))), photos) is None


def test_a_transformer_from_the_ground_up_has_a_map_of_its_attention(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "VIT_WIDTH", 24)
    monkeypatch.setattr(scratch, "VIT_LAYERS", 2)
    frame = pl.DataFrame({"a": [draw_photo(tmp_path / f"{i}.png", i) for i in range(6)]})
    encoders = EncoderSet(Schema((Column("a", "image", {"size": 32, "encoder": "vit"}),)))
    tensors = fit_encode(encoders, frame, np.zeros((6, 1))).tensors()
    built = FusedNetwork(
        encoders.nets(),
        lambda chunks, width: Mlp(chunks, width, layers=(), dropout=0.0),
        2,
        lambda raw: raw,
    ).eval()
    one = {name: array[:1] for name, array in tensors.items()}
    (found,) = maps(built, one, 0, "probabilities")
    assert set(found) == {"gradients", "attention"}
    assert found["attention"]["picture"].startswith("data:image/jpeg")
