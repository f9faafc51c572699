"""Where a network looks in a photo, by its own gradients; what it says is traced back.

Grad-CAM (Selvaraju et al., ICCV 2017) weighs the channels of the last convolution; integrated
gradients (Sundararajan, Taly & Yan, ICML 2017) add up what each pixel does on the way from a square
of the mean colour to the photo. Where a network has attention, a map of that comes beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerGradCam
from PIL import Image
from torch import Tensor, nn

from fieldcraft.contracts import Output, Tensors
from fieldcraft.core.types import Array, Json
from fieldcraft.fit.network import FusedNetwork
from fieldcraft.kinds.image.attention_rollout import compute_attention_map
from fieldcraft.kinds.image.heatmap import render_heatmap

INPUT_NAME = "image"
PIXEL_INPUT_NDIM = 5  # dimensions of the input: row, column, pixels up and across, colour
INTEGRATION_STEPS = 32  # from the mean colour to the photo
MAP_CELLS_PER_SIDE = 16  # a side of the map of pixels: single pixels tell nothing to the eye


def compute_image_attributions(
    network: FusedNetwork, tensors: Tensors, output_index: int, output: Output
) -> list[Json]:
    """Of each photo of one row the maps by name, ``data:`` addresses; none if no pixels are read.

    Args:
        network: from named tensors to outputs, of which one input is ``image``.
        tensors: one row, encoded.
        output_index: which output is explained.
        output: what the network gives.
    """
    if INPUT_NAME not in tensors or tensors[INPUT_NAME].ndim != PIXEL_INPUT_NDIM:
        return []
    inputs = {name: torch.as_tensor(array) for name, array in tensors.items()}
    photos = inputs[INPUT_NAME].float()
    score = make_score_function(network, inputs, output_index, output)
    maps_by_name: dict[str, Array] = {"gradients": compute_pixel_gradients(score, photos)}
    layer = find_last_convolution(network)
    if layer is not None:
        with disable_flip_averaging(network.nets):
            maps_by_name["Grad-CAM"] = compute_grad_cam(score, photos, layer)
    attention_map = compute_attention_map(network.nets[INPUT_NAME], inputs[INPUT_NAME])
    if attention_map is not None:
        maps_by_name["attention"] = attention_map.numpy()
    images = [Image.fromarray(image) for image in photos[0].byte().numpy()]
    return [
        {
            name: {"picture": render_heatmap(image, weights[i])}
            for name, weights in maps_by_name.items()
        }
        for i, image in enumerate(images)
    ]


def make_score_function(
    network: FusedNetwork, inputs: Mapping[str, Tensor], output_index: int, output: Output
) -> Callable[[Tensor], Tensor]:
    """The explained output as a function of the photos alone; the other inputs stay.

    It is traced before the activation, behind which sure predictions have no slope; that of a class
    as it stands above the mean of all classes.
    """

    def score(photos: Tensor) -> Tensor:
        expanded = {name: t.expand(len(photos), *t.shape[1:]) for name, t in inputs.items()}
        logits = network.logits({**expanded, INPUT_NAME: photos}).float().mean(1)
        return (
            logits[:, output_index] - logits.mean(1)
            if output == "probabilities"
            else logits[:, output_index]
        )

    return score


@contextmanager
def disable_flip_averaging(nets: nn.ModuleDict) -> Iterator[None]:
    """While it lasts the net does not read mirror images, in which places lie elsewhere."""
    net: Any = nets[INPUT_NAME]
    previous = getattr(net, "use_flip", False)
    net.mirror = False
    try:
        yield
    finally:
        net.mirror = previous


def compute_pixel_gradients(score: Callable[[Tensor], Tensor], photos: Tensor) -> Array:
    """Integrated gradients, blurred, from -1 to 1; shape (photos, cells, cells)."""
    baseline = photos.mean(dim=(2, 3), keepdim=True).expand_as(photos)
    attributions: Any = IntegratedGradients(score).attribute(
        photos.requires_grad_(), baseline, n_steps=INTEGRATION_STEPS
    )
    weights = attributions.detach()[0].sum(-1)
    side = min(weights.shape[-1], MAP_CELLS_PER_SIDE)
    return scale_to_max_abs(nn.functional.adaptive_avg_pool2d(weights[None], side)[0])


def compute_grad_cam(score: Callable[[Tensor], Tensor], photos: Tensor, layer: nn.Module) -> Array:
    """Grad-CAM, from -1 to 1; shape (photos, cells, cells)."""
    attributions: Any = LayerGradCam(score, layer).attribute(photos.requires_grad_())
    return scale_to_max_abs(attributions.detach()[:, 0])


def scale_to_max_abs(weights: Tensor) -> Array:
    """Weights of which the heaviest of each photo is 1 or -1."""
    max_abs = weights.abs().amax((1, 2), keepdim=True)
    return np.asarray((weights / max_abs.clamp_min(1e-12)).numpy())


def find_last_convolution(network: nn.Module) -> nn.Module | None:
    """The last convolution that sees several places at once, if there are at least two."""
    convolutions = [
        module
        for module in network.modules()
        if isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1
    ]
    return convolutions[-1] if len(convolutions) > 1 else None
