"""Where a vision transformer looks in a photo, whatever it concludes from it.

Abnar & Zuidema, *Quantifying Attention Flow in Transformers*, ACL 2020: the attention of all layers
is followed back from what the prediction is read from to the patches of the photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fieldcraft.kinds.image.export import Vector


@torch.no_grad()
def attended(net: nn.Module, photos: Tensor) -> Tensor | None:
    """How much each patch counts, from 0 to 1; shape (photos, patches, patches).

    Args:
        net: that reads the photos.
        photos: of rows, shape (rows, columns, side, side, channels).

    Returns:
        None if the network has no attention among all patches of a photo.
    """
    vector: Any = getattr(net, "body", None)
    patch = getattr(getattr(getattr(vector, "body", None), "config", None), "patch_size", None)
    if not isinstance(vector, Vector) or not isinstance(patch, int):
        return None
    x: Tensor = net.standardised(photos)  # type: ignore[operator]
    found = getattr(vector.body(pixel_values=x, output_attentions=True), "attentions", None)
    across = x.shape[-1] // patch
    if not found or len({layer.shape for layer in found}) > 1 or len(found[0]) != len(x):
        return None
    flow = rolled_out(found)
    before = flow.shape[-1] - across**2  # tokens that stand for no patch
    if before < 0:
        return None
    read = flow[:, 0] if vector.first else flow[:, before:].mean(1)
    weights = read[:, before:]
    low, high = weights.amin(1, keepdim=True), weights.amax(1, keepdim=True)
    scaled: Tensor = (weights - low) / (high - low).clamp_min(1e-12)
    return scaled.view(-1, across, across)


def rolled_out(layers: Sequence[Tensor]) -> Tensor:
    """How much of each token goes into each at the end, shape (photos, tokens, tokens).

    Half of what a token becomes in a layer is what it was; heads count alike.

    Args:
        layers: their attention, shape (photos, heads, tokens, tokens), the first layer first.
    """
    same = torch.eye(layers[0].shape[-1])
    flow = same.expand(len(layers[0]), -1, -1)
    for attention in layers:
        flow = (attention.float().cpu().mean(1) + same) / 2 @ flow
    return flow
