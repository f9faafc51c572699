"""Networks for photos that are trained from the ground up, by name, and what they are made of."""

from __future__ import annotations

from typing import Any

from fieldcraft.contracts import Json

OWN = "cnn"
STEM, WIDTHS = 32, (64, 128, 256)  # channels of our own network
LARGE = 64  # squares from this side on are halved at once
# Sorts of layers, how many there are of each width, and the widths (He et al. 2016).
RESNETS: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]] = {
    "resnet18": ("basic", (2, 2, 2, 2), (64, 128, 256, 512)),
    "resnet50": ("bottleneck", (3, 4, 6, 3), (256, 512, 1024, 2048)),
}
VIT = "vit"
SCRATCH = (OWN, *RESNETS, VIT)
PATCHES = 8  # a side; a photo becomes 64 of them
VIT_WIDTH, VIT_LAYERS, VIT_HEADS = 192, 6, 3  # a processor trains it
SMALL_STEM = "small_stem"  # entry of a configuration: the square is not made smaller at once


def config_for(name: str, side: int) -> Json:
    """What a network is made of, as the library `transformers` wants it; {} of our own.

    He et al., *Deep Residual Learning for Image Recognition*, 2016; Dosovitskiy et al., *An Image
    is Worth 16x16 Words*, 2021.

    Args:
        name: of a network that is trained from the ground up.
        side: of the squares that it reads, in pixels.
    """
    if name in RESNETS:
        layer, depths, widths = RESNETS[name]
        found: dict[str, Any] = {
            "model_type": "resnet", "layer_type": layer, "depths": list(depths),
            "hidden_sizes": list(widths), "embedding_size": 64,
        }  # fmt: skip
        return {**found, SMALL_STEM: True} if side < LARGE else found
    if name == VIT:
        return {
            "model_type": "vit", "image_size": side, "patch_size": max(side // PATCHES, 1),
            "hidden_size": VIT_WIDTH, "num_hidden_layers": VIT_LAYERS,
            "num_attention_heads": VIT_HEADS, "intermediate_size": 4 * VIT_WIDTH,
        }  # fmt: skip
    return {}
