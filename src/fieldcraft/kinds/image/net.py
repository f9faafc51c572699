"""Networks over photos: from the ground up, from the weights of a bundle, or pretrained."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from fieldcraft.core.errors import DataError
from fieldcraft.core.types import Array
from fieldcraft.fit.finetuning import add_lora_adapters, set_layer_lr
from fieldcraft.fit.mixup import MixupPlan
from fieldcraft.fit.settings import TrainingRecipe
from fieldcraft.kinds.image.architectures import (
    CNN_BLOCK_CHANNELS,
    CNN_STEM_CHANNELS,
    STRIDED_STEM_MIN_SIDE_PIXELS,
)
from fieldcraft.kinds.image.augment import augment_batch, cutmix
from fieldcraft.kinds.image.encode import ImageEncoder
from fieldcraft.kinds.image.hf_backbone import (
    PooledImageBackbone,
    build_image_backbone,
    load_image_backbone,
    measure_embedding_width,
)
from fieldcraft.kinds.image.options import FLIP_AUGMENTATIONS, LORA
from fieldcraft.kinds.image.training_recipes import FINETUNED, choose_recipe
from fieldcraft.kinds.image.transfer import FOLDED_BIAS_SUFFIX

TRANSFER_LR_FACTOR = 0.25  # of the learning rate, for a network that knows photos already
DROPOUT = 0.2


class ImageEncoderNet(nn.Module):
    """One network for all photo columns: a vector of features for each photo.

    In training photos are moved, mirrored where that is safe, and lit otherwise. Where they may be
    mirrored, a photo's features are the mean of its own and its mirror image's.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: ImageEncoder) -> None:
        """Set up for what an encoder gives: the input ``image``."""
        super().__init__()
        self.inputs = ("image",)
        self.n_columns = len(encoder.column_names)
        self.augment = drop_disallowed_flips(encoder.options.augment, encoder.allow_flip)
        augmentation_names = FLIP_AUGMENTATIONS if self.augment is True else self.augment or ()
        self.use_flip = encoder.allow_flip and "flip" in augmentation_names
        self.register_buffer("mean", torch.tensor(encoder.mean).float()[:, None, None])
        self.register_buffer("spread", torch.tensor(encoder.std).float()[:, None, None])
        self.is_pretrained = encoder.pretrained is not None
        self.recipe_name = FINETUNED if self.is_pretrained else encoder.network_name
        self.body, self.embedding_width = build_encoder_body(encoder)
        self.dropout = nn.Dropout(DROPOUT)
        # What a pretrained network knows of the spread of its channels is worth more than what a
        # few dozen photos tell.
        self.frozen_norms = [module for module in self.body.modules() if isinstance(module, nn.BatchNorm2d)
                        and self.is_pretrained]  # fmt: skip
        self.feature_widths = (self.embedding_width,) * self.n_columns

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        """Features of the photos of each row, shape (rows, sum of chunks)."""
        x = self.normalize_pixels(tensors["image"])
        return (
            self.forward_train(self.apply_augmentation(x))
            if self.training
            else self.forward_eval(x)
        )

    def forward_mixed(self, tensors: dict[str, Tensor], mixup: MixupPlan) -> Tensor:
        """Features of photos that lie over those of another row, or have a square of them."""
        x = self.apply_augmentation(self.normalize_pixels(tensors["image"]))
        x = x.reshape(-1, self.n_columns, *x.shape[1:])
        return self.forward_train(
            (cutmix(x, mixup) if mixup.is_cutmix else mixup.mix(x)).flatten(0, 1)
        )

    def forward_train(self, x: Tensor) -> Tensor:
        """Features of the photos of each row while the network learns."""
        for norm in self.frozen_norms:
            norm.eval()
        x = x.contiguous(memory_format=torch.channels_last)  # a step takes four fifths of the time
        return self.embed(x).view(-1, self.n_columns * self.embedding_width)

    def forward_eval(self, x: Tensor) -> Tensor:
        """Features of the photos of each row, both ways if they may be mirrored."""
        features = self.embed(x)
        if self.use_flip:
            features = (features + self.embed(x.flip(3))) / 2
        return features.view(-1, self.n_columns * self.embedding_width)

    def normalize_pixels(self, photos: Tensor) -> Tensor:
        """Photos of rows on the network's scale, shape (photos, channels, side, side)."""
        scaled: Tensor = photos.flatten(0, 1).permute(0, 3, 1, 2).float() / 255
        return (scaled - self.mean) / self.std

    def apply_augmentation(self, x: Tensor) -> Tensor:
        """Standardised photos as they might have been taken as well."""
        if self.augment is True:
            return augment_batch(x, self.use_flip)
        if not self.augment:
            return x
        from fieldcraft.kinds.image.kornia_augmentations import apply_augmentations

        return apply_augmentations(x, self.augment, self.mean, self.std)

    def embed(self, x: Tensor) -> Tensor:
        """Features of standardised photos, shape (photos, width)."""
        features: Tensor = self.body(x)
        if features.ndim == 4:
            features = features.amax((2, 3))
        if self.is_pretrained:
            features = self.dropout(
                functional.layer_norm(features.float(), (self.embedding_width,))
            )
        return features

    def recipe(self, rows: int) -> TrainingRecipe:
        """How the network is trained on some number of rows."""
        return choose_recipe(self.recipe_name, rows)


def drop_disallowed_flips(
    augment: bool | tuple[str, ...], allow_flip: bool
) -> bool | tuple[str, ...]:
    """How training changes photos, without flips where these would make other photos of them."""
    if isinstance(augment, bool) or allow_flip:
        return augment
    return tuple(name for name in augment if name not in FLIP_AUGMENTATIONS)


def build_encoder_body(encoder: ImageEncoder) -> tuple[nn.Module, int]:
    """The network from photos to features, and how many channels these have."""
    if encoder.pretrained is not None:
        return build_finetuned_body(encoder)
    if encoder.backbone_config:
        network = build_image_backbone(encoder.backbone_config)
        return network, measure_embedding_width(network, encoder.side)
    body = build_cnn(encoder.side)
    if encoder.transferred_weights:
        apply_transferred_weights(
            body, encoder.transferred_weights, normalize_transfer_images(encoder)
        )
        for parameter in body.parameters():
            parameter.rate = TRANSFER_LR_FACTOR  # type: ignore[attr-defined]
    return body, CNN_BLOCK_CHANNELS[-1]


def build_cnn(side: int) -> nn.Sequential:
    """Our own convolutional network: a stem, then three groups of two convolutions.

    Each group halves the square and doubles the channels (after Jordan, *94 % on CIFAR-10 in 3.29
    seconds*, 2024); of what remains the largest value of each channel is taken.
    """
    stem = nn.Conv2d(
        3, CNN_STEM_CHANNELS, 3, 2 if side >= STRIDED_STEM_MIN_SIDE_PIXELS else 1, padding=1
    )
    blocks = [
        ConvBlock(in_channels, out_channels)
        for in_channels, out_channels in pairwise((CNN_STEM_CHANNELS, *CNN_BLOCK_CHANNELS))
    ]
    return nn.Sequential(stem, nn.GELU(), *blocks)


class ConvBlock(nn.Module):
    """Two convolutions with batch normalisation; after the first the square is halved."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        """Set up with the channels before and after."""
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Channels of half the side."""
        return functional.gelu(self.norm2(self.conv2(self.downsample(x))))

    def downsample(self, x: Tensor) -> Tensor:
        """What the second convolution reads."""
        x = functional.max_pool2d(self.conv1(x), 2)
        return functional.gelu(self.norm1(x))


def normalize_transfer_images(encoder: ImageEncoder) -> Tensor:
    """Some training photos as networks read them, shape (photos, channels, side, side)."""
    photos = torch.as_tensor(encoder.transfer_pixels / 255 - encoder.mean) / torch.as_tensor(
        encoder.std
    )
    return photos.float().permute(0, 3, 1, 2)


@torch.no_grad()
def apply_transferred_weights(
    body: nn.Sequential, weights: Mapping[str, Array], photos: Tensor
) -> None:
    """Give our own network the weights of a packaged one.

    There the second convolution of a group and its normalisation are one kernel and one bias. So
    that the network is the same one while it learns, the normalisation is set up again for what
    the kernel makes of photos, and its own weights undo it.

    Args:
        body: our own network.
        weights: by their names in it, from `inherited_weights`.
        photos: some training photos, shape (photos, channels, side, side), standardised.
    """
    direct_weights = {name: torch.tensor(array) for name, array in weights.items()
             if not name.endswith(FOLDED_BIAS_SUFFIX)}  # fmt: skip
    body.load_state_dict(direct_weights, strict=False)
    x = photos
    for name, layer in body.eval().named_children():
        if isinstance(layer, ConvBlock):
            norm, activations = layer.norm2, layer.conv2(layer.downsample(x))
            mean, variance = torch.zeros_like(norm.bias), torch.ones_like(norm.bias)
            if len(photos):
                mean, variance = (
                    activations.mean((0, 2, 3)),
                    activations.var((0, 2, 3), unbiased=False),
                )
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.copy_(
                torch.tensor(weights[f"{name}.second.weight{FOLDED_BIAS_SUFFIX}"]) + mean
            )
        x = layer(x)


def build_finetuned_body(encoder: ImageEncoder) -> tuple[nn.Module, int]:
    """A pretrained network whose layers learn less the deeper they lie, or by LoRA."""
    assert encoder.pretrained is not None
    folder = encoder.pretrained.folder
    backbone = (
        load_image_backbone(folder) if folder else build_image_backbone(encoder.backbone_config)
    )
    width = measure_embedding_width(backbone, encoder.side)
    if encoder.options.finetune == LORA:
        return wrap_with_lora(backbone, encoder.options.first_column), width
    names = [name for name, _ in backbone.named_parameters()]
    depth = 1 + max(parse_stage_index(name) for name in names)
    for name, parameter in backbone.named_parameters():
        layer = (
            depth
            if parse_stage_index(name) < 0 and "embed" not in name
            else parse_stage_index(name)
        )
        set_layer_lr(parameter, max(depth - 1 - layer, 0))
    return backbone, width


def parse_stage_index(name: str) -> int:
    """The number of the layer, or of the stage of layers, of a parameter; -1 if it is in none.

    >>> layer_of("body.encoder.stages.3.layers.0.dwconv.weight"), layer_of("body.norm.weight")
    (3, -1)
    """
    return next((int(part) for part in name.split(".") if part.isdigit()), -1)


def wrap_with_lora(network: PooledImageBackbone, column: str) -> nn.Module:
    """A network whose own weights stay; thin matrices beside its linear layers learn.

    Raises:
        DataError: it has no linear layers.
    """
    if not any(isinstance(module, nn.Linear) for module in network.modules()):
        raise DataError(
            f"the network for the photos in {column!r} has nothing that LoRA could train",
            detail=f"{type(network.body).__name__}: convolutions only, no linear layers",
            hint=f"set data.columns.{column}.tune to true, or leave it out; or take a network "
            "with attention, or a ConvNeXt",
        )
    add_lora_adapters(network)
    return network
