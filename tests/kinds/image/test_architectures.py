"""Named architectures have their usual size, and support small images."""

from __future__ import annotations

import pytest
import torch

from fieldcraft.kinds.image.architectures import IMAGE_NETWORKS_FROM_SCRATCH, build_network_config
from fieldcraft.kinds.image.hf_backbone import build_image_backbone, measure_embedding_width


@pytest.mark.parametrize(
    ("name", "side", "millions", "width"),
    [("resnet18", 32, 11.2, 512), ("resnet50", 64, 23.5, 2048), ("vit", 32, 2.7, 192)],
)
def test_networks_have_their_usual_number_of_parameters(
    name: str, side: int, millions: float, width: int
) -> None:
    network = build_image_backbone(build_network_config(name, side))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)
    assert measure_embedding_width(network, side) == width


@pytest.mark.parametrize(("side", "left"), [(32, 4), (63, 8), (64, 2), (96, 3)])
def test_small_images_are_not_downsampled_at_first(side: int, left: int) -> None:
    body = build_image_backbone(build_network_config("resnet18", side)).body
    with torch.no_grad():
        assert body(torch.zeros(1, 3, side, side)).last_hidden_state.shape[-1] == left


@pytest.mark.parametrize("side", [16, 32, 50, 128])
def test_transformers_have_about_64_patches(side: int) -> None:
    network = build_image_backbone(build_network_config("vit", side))
    assert measure_embedding_width(network, side) == 192
    assert 49 <= network.body.embeddings.position_embeddings.shape[1] - 1 <= 81  # type: ignore[union-attr, index]


def test_the_default_network_needs_no_configuration() -> None:
    assert build_network_config(IMAGE_NETWORKS_FROM_SCRATCH[0], 32) == {}
