"""Attention rollout of a vision transformer.

Abnar & Zuidema, *Quantifying Attention Flow in Transformers*, ACL 2020: the attention of all layers
is multiplied from the pooled token back to the patches. The result does not depend on the output
that is explained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fieldcraft.kinds.image.hf_backbone import PooledImageBackbone


@torch.no_grad()
def compute_attention_map(net: nn.Module, photos: Tensor) -> Tensor | None:
    """The rollout weight of each patch, from 0 to 1, shape (photos, patches, patches).

    Args:
        net: the encoder net of images.
        photos: pixels, shape (rows, columns, side, side, channels).

    Returns:
        None if the network has no global attention among the patches of a photo.
    """
    backbone: Any = getattr(net, "body", None)
    patch_size = getattr(
        getattr(getattr(backbone, "body", None), "config", None), "patch_size", None
    )
    if not isinstance(backbone, PooledImageBackbone) or not isinstance(patch_size, int):
        return None
    x: Tensor = net.normalize_pixels(photos)  # type: ignore[operator]
    attentions = getattr(backbone.body(pixel_values=x, output_attentions=True), "attentions", None)
    patches_per_side = x.shape[-1] // patch_size
    # Attention in windows (Swin) has different shapes by layer, or more windows than photos.
    if (
        not attentions
        or len({layer.shape for layer in attentions}) > 1
        or len(attentions[0]) != len(x)
    ):
        return None
    rollout = roll_out_attention(attentions)
    # Class and register tokens come before the patches.
    n_prefix_tokens = rollout.shape[-1] - patches_per_side**2
    if n_prefix_tokens < 0:
        return None
    token_rollout = (
        rollout[:, 0] if backbone.uses_cls_token else rollout[:, n_prefix_tokens:].mean(1)
    )
    weights = token_rollout[:, n_prefix_tokens:]
    low, high = weights.amin(1, keepdim=True), weights.amax(1, keepdim=True)
    scaled: Tensor = (weights - low) / (high - low).clamp_min(1e-12)
    return scaled.view(-1, patches_per_side, patches_per_side)


def roll_out_attention(layers: Sequence[Tensor]) -> Tensor:
    """The weight of each input token in each output token, shape (photos, tokens, tokens).

    Heads are averaged. The residual connection of a layer has the same weight as its attention,
    hence the mean of attention and identity.

    Args:
        layers: attention of each layer from the first, shape (photos, heads, tokens, tokens).
    """
    identity = torch.eye(layers[0].shape[-1])
    rollout = identity.expand(len(layers[0]), -1, -1)
    for attention in layers:
        rollout = (attention.float().cpu().mean(1) + identity) / 2 @ rollout
    return rollout
