"""A convolutional network over photos, trained from the ground up in a few minutes."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from fieldcraft.fit.settings import Recipe, Training
from fieldcraft.kinds.image.augment import augmented
from fieldcraft.kinds.image.encode import ImageEncoder

STEM, WIDTHS = 32, (64, 128, 256)
LARGE = 64  # squares from this side on are halved at once
EPOCHS, AT = 20, 12_000  # epochs for a number of training rows; fewer rows are seen more often
BATCHES = ((2_000, 64), (8_000, 128))  # rows a step below a number of rows
LARGEST_BATCH = 256


class ImageNet(nn.Module):
    """One convolutional network for all photo columns: a vector of features for each photo.

    A stem, then three groups of two convolutions with batch normalisation, each group halving
    the square and doubling the channels (after Jordan, *94 % on CIFAR-10 in 3.29 seconds*, 2024);
    of what remains the largest value of each channel. In training photos are moved, mirrored
    where that is safe, and lit otherwise.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, encoder: ImageEncoder) -> None:
        """Set up for what an encoder gives: the input ``image``."""
        super().__init__()
        self.inputs = ("image",)
        self.columns = len(encoder.names)
        self.mirror = encoder.mirror
        self.register_buffer("mean", torch.tensor(encoder.mean).float()[:, None, None])
        self.register_buffer("spread", torch.tensor(encoder.spread).float()[:, None, None])
        stride = 2 if encoder.side >= LARGE else 1
        stem = nn.Conv2d(3, STEM, 3, stride, padding=1)
        groups = [Group(before, after) for before, after in pairwise((STEM, *WIDTHS))]
        self.body = nn.Sequential(stem, nn.GELU(), *groups)
        self.chunks = (WIDTHS[-1],) * self.columns

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        """Features of the photos of each row, shape (rows, sum of chunks)."""
        photos = tensors["image"].flatten(0, 1).permute(0, 3, 1, 2)
        x = (photos.float() / 255 - self.mean) / self.spread
        if self.training:
            x = augmented(x, self.mirror)
        features: Tensor = self.body(x).amax((2, 3))
        return features.view(-1, self.columns * WIDTHS[-1])

    def recipe(self, rows: int) -> Recipe:
        """Muon with a rate that rises for a while and then falls to nothing."""
        epochs = round(min(max(EPOCHS * (AT / rows) ** 0.35, 10), 50))
        training = Training(
            optimizer="muon",
            learning_rate=8e-3,
            schedule="linear",
            warmup=0.15 * epochs,
            weight_decay=0.05,
            batch_size=next((size for below, size in BATCHES if rows < below), LARGEST_BATCH),
            epochs=epochs,
            patience=epochs,
            patience_share=0.0,
            worth=0.0,
            ema=0.98,
        )
        return Recipe(training, smoothing=0.1)


class Group(nn.Module):
    """Two convolutions; after the first the square is halved."""

    def __init__(self, before: int, after: int) -> None:
        """Set up with the channels before and after."""
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        """Channels of half the side."""
        x = functional.max_pool2d(self.first(x), 2)
        x = functional.gelu(self.first_norm(x))
        return functional.gelu(self.second_norm(self.second(x)))
