"""Attribution maps of an image network.

Grad-CAM (Selvaraju et al., ICCV 2017) weights the channels of the last convolution by their
gradients; integrated gradients (Sundararajan, Taly & Yan, ICML 2017) sum the gradients of each
pixel along the path from a square of the mean color to the photo; transformers get attention
rollout.
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
PIXEL_INPUT_NDIM = 5  # rows, columns of the table, height, width, channels
INTEGRATION_STEPS = 32
MAP_CELLS_PER_SIDE = 16  # gradients of single pixels look like noise


def compute_image_attributions(
    network: FusedNetwork, tensors: Tensors, output_index: int, output: Output
) -> list[Json]:
    """Maps by name for each photo of one row, as data URLs; none if the input is embeddings.

    Args:
        network: a network with the input ``image``.
        tensors: one encoded row.
        output_index: the output to explain.
        output: the type of the outputs.
    """
    if INPUT_NAME not in tensors or tensors[INPUT_NAME].ndim != PIXEL_INPUT_NDIM:
        return []
    inputs = {name: torch.as_tensor(array) for name, array in tensors.items()}
    photos = inputs[INPUT_NAME].float()
    score = make_score_function(network, inputs, output_index, output)
    maps_by_name: dict[str, Array] = {
        "integrated_gradients": compute_pixel_gradients(score, photos)
    }
    layer = find_last_convolution(network)
    # Grad-CAM reads the channels of one forward pass: with flips averaged there would be two.
    if layer is not None:
        with disable_flip_averaging(network.nets):
            maps_by_name["grad_cam"] = compute_grad_cam(score, photos, layer)
    attention_map = compute_attention_map(network.nets[INPUT_NAME], inputs[INPUT_NAME])
    if attention_map is not None:
        maps_by_name["attention_rollout"] = attention_map.numpy()
    images = [Image.fromarray(image) for image in photos[0].byte().numpy()]
    return [
        {
            name: {"heatmap": render_heatmap(image, weights[i])}
            for name, weights in maps_by_name.items()
        }
        for i, image in enumerate(images)
    ]


def make_score_function(
    network: FusedNetwork, inputs: Mapping[str, Tensor], output_index: int, output: Output
) -> Callable[[Tensor], Tensor]:
    """The output to explain as a function of the photos alone; the other inputs are fixed.

    It is the logit, as the gradient of the activation vanishes for confident predictions; for
    classes the logit minus the mean logit, since softmax ignores a common offset.
    """

    def score(photos: Tensor) -> Tensor:
        # Captum passes several copies of the row at once, one per integration step.
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
    """Within the context, do not average over the flipped photo, whose regions lie elsewhere."""
    net: Any = nets[INPUT_NAME]
    previous = getattr(net, "use_flip", False)
    net.use_flip = False
    try:
        yield
    finally:
        net.use_flip = previous


def compute_pixel_gradients(score: Callable[[Tensor], Tensor], photos: Tensor) -> Array:
    """Integrated gradients averaged per cell, from -1 to 1, shape (photos, cells, cells)."""
    baseline = photos.mean(dim=(2, 3), keepdim=True).expand_as(photos)
    attributions: Any = IntegratedGradients(score).attribute(
        photos.requires_grad_(), baseline, n_steps=INTEGRATION_STEPS
    )
    weights = attributions.detach()[0].sum(-1)
    side = min(weights.shape[-1], MAP_CELLS_PER_SIDE)
    return scale_to_max_abs(nn.functional.adaptive_avg_pool2d(weights[None], side)[0])


def compute_grad_cam(score: Callable[[Tensor], Tensor], photos: Tensor, layer: nn.Module) -> Array:
    """Grad-CAM, from -1 to 1, shape (photos, cells, cells)."""
    attributions: Any = LayerGradCam(score, layer).attribute(photos.requires_grad_())
    return scale_to_max_abs(attributions.detach()[:, 0])


def scale_to_max_abs(weights: Tensor) -> Array:
    """Scale the weights of each photo so that the largest is 1 or -1."""
    max_abs = weights.abs().amax((1, 2), keepdim=True)
    return np.asarray((weights / max_abs.clamp_min(1e-12)).numpy())


def find_last_convolution(network: nn.Module) -> nn.Module | None:
    """The last convolution with a kernel larger than 1 x 1, if there are at least two such.

    A single one is the patch embedding of a transformer, whose channels respond to no objects.
    """
    convolutions = [
        module
        for module in network.modules()
        if isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1
    ]
    return convolutions[-1] if len(convolutions) > 1 else None
