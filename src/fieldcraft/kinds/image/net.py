"""Networks over photos: from the ground up, from the weights of a bundle, or pretrained."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from fieldcraft.contracts import Array
from fieldcraft.core.errors import DataError
from fieldcraft.fit.mixing import Mixing
from fieldcraft.fit.pretrained import add_lora, slow_down
from fieldcraft.fit.settings import Recipe
from fieldcraft.kinds.image.augment import augmented, patched
from fieldcraft.kinds.image.encode import ImageEncoder
from fieldcraft.kinds.image.export import Vector, build_network, load_network, width_of
from fieldcraft.kinds.image.inherit import BIAS
from fieldcraft.kinds.image.options import FLIPS, LORA
from fieldcraft.kinds.image.recipes import TUNED, recipe_for
from fieldcraft.kinds.image.scratch import LARGE, STEM, WIDTHS

INHERITED = 0.25  # of the learning rate, for a network that knows photos already
DROPOUT = 0.2


class ImageNet(nn.Module):
    """One network for all photo columns: a vector of features for each photo.

    In training photos are moved, mirrored where that is safe, and lit otherwise. Where they may be
    mirrored, a photo's features are the mean of its own and its mirror image's.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, encoder: ImageEncoder) -> None:
        """Set up for what an encoder gives: the input ``image``."""
        super().__init__()
        self.inputs = ("image",)
        self.columns = len(encoder.names)
        self.augment = allowed(encoder.asked.augment, encoder.mirror)
        ways = FLIPS if self.augment is True else self.augment or ()
        self.mirror = encoder.mirror and "flip" in ways
        self.register_buffer("mean", torch.tensor(encoder.mean).float()[:, None, None])
        self.register_buffer("spread", torch.tensor(encoder.spread).float()[:, None, None])
        self.tuned = encoder.pretrained is not None
        self.way = TUNED if self.tuned else encoder.network
        self.body, self.width = body_for(encoder)
        self.drop = nn.Dropout(DROPOUT)
        # What a pretrained network knows of the spread of its channels is worth more than what a
        # few dozen photos tell.
        self.settled = [m for m in self.body.modules() if isinstance(m, nn.BatchNorm2d)
                        and self.tuned]  # fmt: skip
        self.chunks = (self.width,) * self.columns

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        """Features of the photos of each row, shape (rows, sum of chunks)."""
        x = self.standardised(tensors["image"])
        return self.learning(self.changed(x)) if self.training else self.judging(x)

    def mixed(self, tensors: dict[str, Tensor], mixing: Mixing) -> Tensor:
        """Features of photos that lie over those of another row, or have a square of them."""
        x = self.changed(self.standardised(tensors["image"]))
        x = x.reshape(-1, self.columns, *x.shape[1:])
        return self.learning((patched(x, mixing) if mixing.cut else mixing.mixed(x)).flatten(0, 1))

    def learning(self, x: Tensor) -> Tensor:
        """Features of the photos of each row while the network learns."""
        for norm in self.settled:
            norm.eval()
        x = x.contiguous(memory_format=torch.channels_last)  # a step takes four fifths of the time
        return self.seen(x).view(-1, self.columns * self.width)

    def judging(self, x: Tensor) -> Tensor:
        """Features of the photos of each row, both ways if they may be mirrored."""
        features = self.seen(x)
        if self.mirror:
            features = (features + self.seen(x.flip(3))) / 2
        return features.view(-1, self.columns * self.width)

    def standardised(self, photos: Tensor) -> Tensor:
        """Photos of rows on the network's scale, shape (photos, channels, side, side)."""
        found: Tensor = photos.flatten(0, 1).permute(0, 3, 1, 2).float() / 255
        return (found - self.mean) / self.spread

    def changed(self, x: Tensor) -> Tensor:
        """Standardised photos as they might have been taken as well."""
        if self.augment is True:
            return augmented(x, self.mirror)
        if not self.augment:
            return x
        from fieldcraft.kinds.image.named import changed

        return changed(x, self.augment, self.mean, self.spread)

    def seen(self, x: Tensor) -> Tensor:
        """Features of standardised photos, shape (photos, width)."""
        features: Tensor = self.body(x)
        if features.ndim == 4:
            features = features.amax((2, 3))
        if self.tuned:
            features = self.drop(functional.layer_norm(features.float(), (self.width,)))
        return features

    def recipe(self, rows: int) -> Recipe:
        """How the network is trained on some number of rows."""
        return recipe_for(self.way, rows)


def allowed(augment: bool | tuple[str, ...], mirror: bool) -> bool | tuple[str, ...]:
    """How training changes photos, without flips where these would make other photos of them."""
    if isinstance(augment, bool) or mirror:
        return augment
    return tuple(name for name in augment if name not in FLIPS)


def body_for(encoder: ImageEncoder) -> tuple[nn.Module, int]:
    """The network from photos to features, and how many channels these have."""
    if encoder.pretrained is not None:
        return tuned_body(encoder)
    if encoder.config:
        network = build_network(encoder.config)
        return network, width_of(network, encoder.side)
    body = own_body(encoder.side)
    if encoder.inherited:
        inherit(body, encoder.inherited, standardised(encoder))
        for parameter in body.parameters():
            parameter.rate = INHERITED  # type: ignore[attr-defined]
    return body, WIDTHS[-1]


def own_body(side: int) -> nn.Sequential:
    """Our own convolutional network: a stem, then three groups of two convolutions.

    Each group halves the square and doubles the channels (after Jordan, *94 % on CIFAR-10 in 3.29
    seconds*, 2024); of what remains the largest value of each channel is taken.
    """
    stem = nn.Conv2d(3, STEM, 3, 2 if side >= LARGE else 1, padding=1)
    groups = [Group(before, after) for before, after in pairwise((STEM, *WIDTHS))]
    return nn.Sequential(stem, nn.GELU(), *groups)


class Group(nn.Module):
    """Two convolutions with batch normalisation; after the first the square is halved."""

    def __init__(self, before: int, after: int) -> None:
        """Set up with the channels before and after."""
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        """Channels of half the side."""
        return functional.gelu(self.second_norm(self.second(self.halved(x))))

    def halved(self, x: Tensor) -> Tensor:
        """What the second convolution reads."""
        x = functional.max_pool2d(self.first(x), 2)
        return functional.gelu(self.first_norm(x))


def standardised(encoder: ImageEncoder) -> Tensor:
    """Some training photos as networks read them, shape (photos, channels, side, side)."""
    photos = torch.as_tensor(encoder.some / 255 - encoder.mean) / torch.as_tensor(encoder.spread)
    return photos.float().permute(0, 3, 1, 2)


@torch.no_grad()
def inherit(body: nn.Sequential, weights: Mapping[str, Array], photos: Tensor) -> None:
    """Give our own network the weights of a packaged one.

    There the second convolution of a group and its normalisation are one kernel and one bias. So
    that the network is the same one while it learns, the normalisation is set up again for what
    the kernel makes of photos, and its own weights undo it.

    Args:
        body: our own network.
        weights: by their names in it, from `inherited_weights`.
        photos: some training photos, shape (photos, channels, side, side), standardised.
    """
    plain = {name: torch.tensor(array) for name, array in weights.items()
             if not name.endswith(BIAS)}  # fmt: skip
    body.load_state_dict(plain, strict=False)
    x = photos
    for name, part in body.eval().named_children():
        if isinstance(part, Group):
            norm, seen = part.second_norm, part.second(part.halved(x))
            mean, spread = torch.zeros_like(norm.bias), torch.ones_like(norm.bias)
            if len(photos):
                mean, spread = seen.mean((0, 2, 3)), seen.var((0, 2, 3), unbiased=False)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(spread)
            norm.weight.copy_((spread + norm.eps).sqrt())
            norm.bias.copy_(torch.tensor(weights[f"{name}.second.weight{BIAS}"]) + mean)
        x = part(x)


def tuned_body(encoder: ImageEncoder) -> tuple[nn.Module, int]:
    """A pretrained network whose layers learn less the deeper they lie, or by LoRA."""
    assert encoder.pretrained is not None
    folder = encoder.pretrained.folder
    found = load_network(folder) if folder else build_network(encoder.config)
    width = width_of(found, encoder.side)
    if encoder.asked.tune == LORA:
        return with_lora(found, encoder.asked.column), width
    names = [name for name, _ in found.named_parameters()]
    depth = 1 + max(layer_of(name) for name in names)
    for name, parameter in found.named_parameters():
        layer = depth if layer_of(name) < 0 and "embed" not in name else layer_of(name)
        slow_down(parameter, max(depth - 1 - layer, 0))
    return found, width


def layer_of(name: str) -> int:
    """The number of the layer, or of the stage of layers, of a parameter; -1 if it is in none.

    >>> layer_of("body.encoder.stages.3.layers.0.dwconv.weight"), layer_of("body.norm.weight")
    (3, -1)
    """
    return next((int(part) for part in name.split(".") if part.isdigit()), -1)


def with_lora(network: Vector, column: str) -> nn.Module:
    """A network whose own weights stay; thin matrices beside its linear layers learn.

    Raises:
        DataError: it has no linear layers.
    """
    if not any(isinstance(module, nn.Linear) for module in network.modules()):
        raise DataError(
            f"the network for the photos in {column!r} has nothing that LoRA could train",
            seen=f"{type(network.body).__name__}: convolutions only, no linear layers",
            way_out=f"set data.columns.{column}.tune to true, or leave it out; or take a network "
            "with attention, or a ConvNeXt",
        )
    add_lora(network)
    return network
