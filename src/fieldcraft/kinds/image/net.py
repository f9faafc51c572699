"""The encoder net of photos: trained from scratch, from the weights of a bundle, or pretrained."""

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

TRANSFER_LR_FACTOR = 0.25  # of the learning rate, for transferred weights
DROPOUT = 0.2  # of the embeddings of a pretrained network


class ImageEncoderNet(nn.Module):
    """One network for all photo columns: an embedding of each photo.

    Training augments the photos. If they may be flipped, the embedding of a photo in prediction is
    the mean of its own and that of its mirror image.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: ImageEncoder) -> None:
        """Set up for the input ``image`` of a fitted encoder."""
        super().__init__()
        self.inputs = ("image",)
        self.n_columns = len(encoder.column_names)
        self.augment = drop_disallowed_flips(encoder.options.augment, encoder.allow_flip)
        augmentation_names = FLIP_AUGMENTATIONS if self.augment is True else self.augment or ()
        self.use_flip = encoder.allow_flip and "horizontal_flip" in augmentation_names
        self.register_buffer("mean", torch.tensor(encoder.mean).float()[:, None, None])
        self.register_buffer("std", torch.tensor(encoder.std).float()[:, None, None])
        self.is_pretrained = encoder.pretrained is not None
        self.recipe_name = FINETUNED if self.is_pretrained else encoder.network_name
        self.body, self.embedding_width = build_encoder_body(encoder)
        self.dropout = nn.Dropout(DROPOUT)
        # The batch statistics of a pretrained network are better than those of a few dozen photos.
        self.frozen_norms = [
            module
            for module in self.body.modules()
            if isinstance(module, nn.BatchNorm2d) and self.is_pretrained
        ]
        self.feature_widths = (self.embedding_width,) * self.n_columns

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        """Embeddings of the photos of each row, shape (rows, sum of feature widths)."""
        x = self.normalize_pixels(tensors["image"])
        return (
            self.forward_train(self.apply_augmentation(x))
            if self.training
            else self.forward_eval(x)
        )

    def forward_mixed(self, tensors: dict[str, Tensor], mixup: MixupPlan) -> Tensor:
        """Embeddings of photos after mixup or CutMix with those of the partner rows."""
        x = self.apply_augmentation(self.normalize_pixels(tensors["image"]))
        x = x.reshape(-1, self.n_columns, *x.shape[1:])
        return self.forward_train(
            (cutmix(x, mixup) if mixup.is_cutmix else mixup.mix(x)).flatten(0, 1)
        )

    def forward_train(self, x: Tensor) -> Tensor:
        """Embeddings in training."""
        # In each call, since `train()` of the whole network switches them back every epoch.
        for norm in self.frozen_norms:
            norm.eval()
        # Augmentation leaves channels first, which oneDNN would convert in every layer; converted
        # once, a step takes 20 % less time (docs/log.md).
        x = x.contiguous(memory_format=torch.channels_last)
        return self.embed(x).view(-1, self.n_columns * self.embedding_width)

    def forward_eval(self, x: Tensor) -> Tensor:
        """Embeddings in prediction, averaged over the mirror image if photos may be flipped."""
        features = self.embed(x)
        if self.use_flip:
            features = (features + self.embed(x.flip(3))) / 2
        return features.view(-1, self.n_columns * self.embedding_width)

    def normalize_pixels(self, photos: Tensor) -> Tensor:
        """Standardize the photos of rows, shape (rows x columns, channels, side, side)."""
        scaled: Tensor = photos.flatten(0, 1).permute(0, 3, 1, 2).float() / 255
        return (scaled - self.mean) / self.std

    def apply_augmentation(self, x: Tensor) -> Tensor:
        """Augment standardized photos as the options say."""
        if self.augment is True:
            return augment_batch(x, self.use_flip)
        if not self.augment:
            return x
        from fieldcraft.kinds.image.kornia_augmentations import apply_augmentations

        return apply_augmentations(x, self.augment, self.mean, self.std)

    def embed(self, x: Tensor) -> Tensor:
        """Embed standardized photos, shape (photos, embedding_width)."""
        features: Tensor = self.body(x)
        if features.ndim == 4:
            features = features.amax((2, 3))
        # Outputs of pretrained networks have very different scales, and one learning rate fits only
        # one scale.
        if self.is_pretrained:
            features = self.dropout(
                functional.layer_norm(features.float(), (self.embedding_width,))
            )
        return features

    def recipe(self, rows: int) -> TrainingRecipe:
        """The training recipe for a number of rows."""
        return choose_recipe(self.recipe_name, rows)


def drop_disallowed_flips(
    augment: bool | tuple[str, ...], allow_flip: bool
) -> bool | tuple[str, ...]:
    """The augmentations, without flips if photos must not be flipped."""
    if isinstance(augment, bool) or allow_flip:
        return augment
    return tuple(name for name in augment if name not in FLIP_AUGMENTATIONS)


def build_encoder_body(encoder: ImageEncoder) -> tuple[nn.Module, int]:
    """Build the network from photos to embeddings; also return their width."""
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
        # `lr_scale` is read by fieldcraft.fit.optimizers.
        for parameter in body.parameters():
            parameter.lr_scale = TRANSFER_LR_FACTOR  # type: ignore[attr-defined]
    return body, CNN_BLOCK_CHANNELS[-1]


def build_cnn(side: int) -> nn.Sequential:
    """Build our own CNN: a stem, then three blocks of two convolutions.

    Each block halves the resolution and doubles the channels; `ImageEncoderNet.embed` takes the
    maximum over the remaining positions (after Jordan, *94 % on CIFAR-10 in 3.29 Seconds on a
    Single GPU*, 2024).
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
    """Two convolutions with batch normalization; the first is followed by 2 x 2 max pooling."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        """Set up with the numbers of channels."""
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Channels at half the resolution."""
        return functional.gelu(self.norm2(self.conv2(self.downsample(x))))

    def downsample(self, x: Tensor) -> Tensor:
        """The first convolution: the input of the second one."""
        # Pooled first, so that only a quarter of the pixels are normalized and activated.
        x = functional.max_pool2d(self.conv1(x), 2)
        return functional.gelu(self.norm1(x))


def normalize_transfer_images(encoder: ImageEncoder) -> Tensor:
    """The sampled training photos, standardized, shape (photos, channels, side, side)."""
    photos = torch.as_tensor(encoder.transfer_pixels / 255 - encoder.mean) / torch.as_tensor(
        encoder.std
    )
    return photos.float().permute(0, 3, 1, 2)


@torch.no_grad()
def apply_transferred_weights(
    body: nn.Sequential, weights: Mapping[str, Array], photos: Tensor
) -> None:
    """Load the weights of a packaged network into ours.

    In a bundle the second batch normalization of each block is folded into the convolution before
    it. Here its statistics are recomputed from photos, and its weight and bias are set so that they
    undo it: the network computes the same as the packaged one, and can be trained further.

    Args:
        body: our own CNN.
        weights: by their names in it, from `load_transferred_weights`.
        photos: some training photos, shape (photos, channels, side, side), standardized.
    """
    direct_weights = {
        name: torch.tensor(array)
        for name, array in weights.items()
        if not name.endswith(FOLDED_BIAS_SUFFIX)
    }
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
            # (x - mean) / std * std + (mean + folded bias) = x + folded bias
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.copy_(
                torch.tensor(weights[f"{name}.conv2.weight{FOLDED_BIAS_SUFFIX}"]) + mean
            )
        x = layer(x)


def build_finetuned_body(encoder: ImageEncoder) -> tuple[nn.Module, int]:
    """A pretrained network with layer-wise learning rates, or with LoRA adapters."""
    assert encoder.pretrained is not None
    # An encoder from a bundle has no folder: the trained weights are loaded later.
    folder = encoder.pretrained.folder
    backbone = (
        load_image_backbone(folder) if folder else build_image_backbone(encoder.backbone_config)
    )
    width = measure_embedding_width(backbone, encoder.side)
    if encoder.options.finetune == LORA:
        return wrap_with_lora(backbone, encoder.options.first_column), width
    # Embeddings (-1 with "embed" in the name) lie below the first layer, norms and poolers above
    # the last one.
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
    """The number of the layer or stage of a parameter; -1 if it is in none.

    >>> parse_stage_index("body.encoder.stages.3.layers.0.dwconv.weight")
    3
    >>> parse_stage_index("body.norm.weight")
    -1
    """
    return next((int(part) for part in name.split(".") if part.isdigit()), -1)


def wrap_with_lora(network: PooledImageBackbone, column: str) -> nn.Module:
    """Freeze a network and add LoRA adapters to its linear layers.

    Raises:
        DataError: the network has no linear layers.
    """
    if not any(isinstance(module, nn.Linear) for module in network.modules()):
        raise DataError(
            f"LoRA cannot train the network for the photos in {column!r}",
            detail=f"{type(network.body).__name__}: convolutions only, no linear layers",
            hint=f"set data.columns.{column}.finetune to true, or leave it out; or use a network "
            "with attention, or a ConvNeXt",
        )
    add_lora_adapters(network)
    return network
