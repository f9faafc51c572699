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

from fieldcraft.contracts import Array, Json, Output, Tensors
from fieldcraft.fit.network import FusedNetwork
from fieldcraft.kinds.image.attention import attended
from fieldcraft.kinds.image.heat import heat

INPUT = "image"
PHOTOS = 5  # dimensions of the input: row, column, pixels up and across, colour
STEPS = 32  # from the mean colour to the photo
CELLS = 16  # a side of the map of pixels: single pixels tell nothing to the eye


def maps(network: FusedNetwork, tensors: Tensors, chosen: int, output: Output) -> list[Json]:
    """Of each photo of one row the maps by name, ``data:`` addresses; none if no pixels are read.

    Args:
        network: from named tensors to outputs, of which one input is ``image``.
        tensors: one row, encoded.
        chosen: which output is explained.
        output: what the network gives.
    """
    if INPUT not in tensors or tensors[INPUT].ndim != PHOTOS:
        return []
    given = {name: torch.as_tensor(array) for name, array in tensors.items()}
    photos = given[INPUT].float()
    score = scoring(network, given, chosen, output)
    found: dict[str, Array] = {"gradients": by_pixel(score, photos)}
    layer = last_convolution(network)
    if layer is not None:
        with unmirrored(network.nets):
            found["Grad-CAM"] = by_channel(score, photos, layer)
    looked = attended(network.nets[INPUT], given[INPUT])
    if looked is not None:
        found["attention"] = looked.numpy()
    squares = [Image.fromarray(square) for square in photos[0].byte().numpy()]
    return [
        {name: {"picture": heat(square, weights[i])} for name, weights in found.items()}
        for i, square in enumerate(squares)
    ]


def scoring(
    network: FusedNetwork, given: Mapping[str, Tensor], chosen: int, output: Output
) -> Callable[[Tensor], Tensor]:
    """The explained output as a function of the photos alone; the other inputs stay.

    It is traced before the activation, behind which sure predictions have no slope; that of a class
    as it stands above the mean of all classes.
    """

    def score(photos: Tensor) -> Tensor:
        rest = {name: t.expand(len(photos), *t.shape[1:]) for name, t in given.items()}
        raw = network.raw({**rest, INPUT: photos}).float().mean(1)
        return raw[:, chosen] - raw.mean(1) if output == "probabilities" else raw[:, chosen]

    return score


@contextmanager
def unmirrored(nets: nn.ModuleDict) -> Iterator[None]:
    """While it lasts the net does not read mirror images, in which places lie elsewhere."""
    net: Any = nets[INPUT]
    before = getattr(net, "mirror", False)
    net.mirror = False
    try:
        yield
    finally:
        net.mirror = before


def by_pixel(score: Callable[[Tensor], Tensor], photos: Tensor) -> Array:
    """Integrated gradients, blurred, from -1 to 1; shape (photos, cells, cells)."""
    mean = photos.mean(dim=(2, 3), keepdim=True).expand_as(photos)
    found: Any = IntegratedGradients(score).attribute(photos.requires_grad_(), mean, n_steps=STEPS)
    weights = found.detach()[0].sum(-1)
    side = min(weights.shape[-1], CELLS)
    return scaled(nn.functional.adaptive_avg_pool2d(weights[None], side)[0])


def by_channel(score: Callable[[Tensor], Tensor], photos: Tensor, layer: nn.Module) -> Array:
    """Grad-CAM, from -1 to 1; shape (photos, cells, cells)."""
    found: Any = LayerGradCam(score, layer).attribute(photos.requires_grad_())
    return scaled(found.detach()[:, 0])


def scaled(weights: Tensor) -> Array:
    """Weights of which the heaviest of each photo is 1 or -1."""
    most = weights.abs().amax((1, 2), keepdim=True)
    return np.asarray((weights / most.clamp_min(1e-12)).numpy())


def last_convolution(network: nn.Module) -> nn.Module | None:
    """The last convolution that sees several places at once, if there are at least two."""
    found = [
        module
        for module in network.modules()
        if isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1
    ]
    return found[-1] if len(found) > 1 else None
