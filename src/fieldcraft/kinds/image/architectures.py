"""The image networks that are trained from scratch, by name, and their sizes."""

from __future__ import annotations

from typing import Any

from fieldcraft.core.types import Json

DEFAULT_NETWORK = "cnn"
CNN_STEM_CHANNELS, CNN_BLOCK_CHANNELS = 32, (64, 128, 256)  # of our own CNN
STRIDED_STEM_MIN_SIDE_PIXELS = 64  # the first convolution halves images from this size on
# Type of layer, layers per stage, and channels per stage (He et al. 2016).
RESNETS: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]] = {
    "resnet18": ("basic", (2, 2, 2, 2), (64, 128, 256, 512)),
    "resnet50": ("bottleneck", (3, 4, 6, 3), (256, 512, 1024, 2048)),
}
VIT = "vit"
IMAGE_NETWORKS_FROM_SCRATCH = (DEFAULT_NETWORK, *RESNETS, VIT)
VIT_PATCHES_PER_SIDE = 8  # 64 patches per photo
VIT_WIDTH, VIT_LAYERS, VIT_HEADS = 192, 6, 3  # small enough to train on a CPU
SMALL_STEM = "small_stem"  # our entry in a configuration: the stem keeps the resolution


def build_network_config(name: str, side: int) -> Json:
    """The configuration of a network for the library `transformers`; {} for our own CNN.

    He et al., *Deep Residual Learning for Image Recognition*, 2016; Dosovitskiy et al., *An Image
    is Worth 16x16 Words*, 2021.

    Args:
        name: one of `IMAGE_NETWORKS_FROM_SCRATCH`.
        side: side of the square images, in pixels.
    """
    if name in RESNETS:
        layer_type, depths, widths = RESNETS[name]
        config: dict[str, Any] = {
            "model_type": "resnet", "layer_type": layer_type, "depths": list(depths),
            "hidden_sizes": list(widths), "embedding_size": 64,
        }  # fmt: skip
        return {**config, SMALL_STEM: True} if side < STRIDED_STEM_MIN_SIDE_PIXELS else config
    if name == VIT:
        return {
            "model_type": "vit", "image_size": side,
            "patch_size": max(side // VIT_PATCHES_PER_SIDE, 1),
            "hidden_size": VIT_WIDTH, "num_hidden_layers": VIT_LAYERS,
            "num_attention_heads": VIT_HEADS, "intermediate_size": 4 * VIT_WIDTH,
        }  # fmt: skip
    return {}
