"""Encode photos: square images for networks, handcrafted features for trees and linear models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property

import numpy as np
import polars as pl

from fieldcraft.bundle.embedding_scaler import EmbeddingScaler, fit_embedding_scaler
from fieldcraft.bundle.encoder_set import LazyEncodedRows
from fieldcraft.bundle.onnx_backbone import load_backbone
from fieldcraft.contracts import Matrix, State
from fieldcraft.core.extras import require_extra
from fieldcraft.core.types import Array, Json
from fieldcraft.data.pretrained_weights import has_linear_layers, resolve_path
from fieldcraft.data.schema import Column
from fieldcraft.kinds.image.architectures import DEFAULT_NETWORK, build_network_config
from fieldcraft.kinds.image.flip_invariance import is_flip_invariant
from fieldcraft.kinds.image.handcrafted_features import FEATURE_NAMES, extract_features
from fieldcraft.kinds.image.options import LORA, invalid_option_error, parse_image_options
from fieldcraft.kinds.image.pixel_cache import get_pixel_cache, read_image_headers
from fieldcraft.kinds.image.preprocessor_config import PreprocessorConfig
from fieldcraft.kinds.image.pretrained import PretrainedImageEncoder, load_image_encoder
from fieldcraft.kinds.image.transfer import find_bundle, load_transferred_weights

CANDIDATE_SIDES_PIXELS = (32, 64, 96, 128)
MAX_SAMPLE_IMAGES = 1_000  # training photos from which size and pixel statistics are learned
MAX_TRANSFER_IMAGES = 256  # of these, for the batch statistics of a transferred network
MIN_CHANNEL_STD = 1e-2  # of a channel from 0 to 1; photos of a single color have none


@dataclass(frozen=True)
class ImageColumns:
    """The addresses of the photos of each column; pixels are decoded later, at the learned size.

    Attributes:
        column_addresses: the addresses by column; None where there is no photo.
        n_rows: number of rows.
        pretrained: the network for embeddings, if one is used.
    """

    column_addresses: tuple[tuple[str | None, ...], ...]
    n_rows: int
    pretrained: PretrainedImageEncoder | None = None

    @cached_property
    def addresses(self) -> list[str | None]:
        """The addresses row by row, all columns of a row together."""
        return [address for row in zip(*self.column_addresses, strict=True) for address in row]

    @cached_property
    def embeddings(self) -> list[Array]:
        """Embeddings of the photos of each column; NaN where there is no photo."""
        if self.pretrained is None:
            return []
        return [self.pretrained.embed(addresses) for addresses in self.column_addresses]


class ImageEncoder:
    """Encodes all photo columns of a table.

    A photo becomes a square RGB image whose side fits the median training photo. Channel means and
    standard deviations, and whether photos may be flipped, are learned from the training photos.
    A missing photo becomes a square of the mean color.

    With a pretrained network in the project file, networks get its embeddings instead of the
    images, and trees and linear models get them beside the handcrafted features. If that network
    is fine-tuned, networks get images of the size and on the scale that it was trained with.
    """

    max_batch_rows = None

    def __init__(self, columns: Sequence[Column]) -> None:
        """Set up an unfitted encoder."""
        self.column_names = [column.name for column in columns]
        self.options = parse_image_options(columns)
        self.side = self.options.side or CANDIDATE_SIDES_PIXELS[0]
        self.mean = np.zeros(3)
        self.std = np.ones(3)
        self.allow_flip = bool(self.options.allow_flip)
        self.backbone_config: Json = {}  # of the network to train; {} for our own CNN
        self.pretrained: PretrainedImageEncoder | None = None
        self.embedding_scalers: list[EmbeddingScaler] = []  # one per column
        # From a bundle; {} in a restored encoder, whose network is saved with the model.
        self.transferred_weights: dict[str, Array] | None = None
        self.transfer_pixels = np.zeros((0, 1, 1, 3), dtype=np.uint8)

    @property
    def network_name(self) -> str:
        """The name of the architecture to train; that of our CNN if initial weights are given."""
        return DEFAULT_NETWORK if self.options.has_pretrained_weights else self.options.encoder

    @property
    def is_frozen(self) -> bool:
        """Whether networks, too, read embeddings instead of pixels."""
        return self.pretrained is not None and not self.options.finetune

    @property
    def n_features(self) -> int:
        """Width of the embeddings of a row, all columns together."""
        return sum(len(scaler.mean) for scaler in self.embedding_scalers)

    def precompute(self, rows: pl.DataFrame) -> ImageColumns:
        """The addresses of the photos of each column."""
        if (
            self.options.has_pretrained_weights
            and self.pretrained is None
            and self.transferred_weights is None
        ):
            self._load_initial_weights()
        columns = tuple(tuple(rows[name].to_list()) for name in self.column_names)
        return ImageColumns(columns, rows.height, self.pretrained)

    def _load_initial_weights(self) -> None:
        """Load the initial weights: those of a bundle, or a pretrained network."""
        bundle = find_bundle(self.options.encoder)
        if bundle is None:
            folder = resolve_path(self.options.encoder)
            if self.options.finetune == LORA and folder.is_dir() and not has_linear_layers(folder):
                allowed = "true, since LoRA needs linear layers and the network has none"
                raise invalid_option_error(self.options.first_column, "finetune", LORA, allowed)
            self.pretrained = load_image_encoder(self.options.encoder, self.options.side)
        elif self.options.finetune == LORA:
            allowed = "true: the network of a bundle is trained as a whole"
            raise invalid_option_error(self.options.first_column, "finetune", LORA, allowed)
        else:
            self.transferred_weights = load_transferred_weights(bundle)

    def fit_transform(self, photos: ImageColumns, target: Array) -> LazyEncodedRows:
        """Learn size, pixel statistics and flip invariance; return the encoded rows."""
        positions = [
            position for position, address in enumerate(photos.addresses) if address is not None
        ]
        # Evenly spaced, since photos are often sorted by class.
        sample_indices = np.linspace(
            0, len(positions) - 1, min(MAX_SAMPLE_IMAGES, len(positions)), dtype=int
        )
        positions = [positions[i] for i in sample_indices]
        sample_addresses = [photos.addresses[position] for position in positions]
        self.side = self.options.side or choose_side(sample_addresses)
        if self.pretrained is not None and not self.is_frozen:
            self._apply_preprocessor_config(self.pretrained)
        elif self.network_name != DEFAULT_NETWORK:
            require_extra("text")  # for the library `transformers`
            self.backbone_config = build_network_config(self.network_name, self.side)
        if sample_addresses:
            self._fit_pixel_statistics(
                sample_addresses, target[np.array(positions) // len(self.column_names)]
            )
        self.embedding_scalers = [
            fit_embedding_scaler(embeddings) for embeddings in photos.embeddings
        ]
        return self.transform(photos)

    def _apply_preprocessor_config(self, pretrained: PretrainedImageEncoder) -> None:
        """Take size and scale of the photos from the pretrained network to fine-tune."""
        self.backbone_config, preprocessor = pretrained.config, pretrained.preprocessor
        self.side, self.mean, self.std = (
            preprocessor.side, np.array(preprocessor.mean), np.array(preprocessor.std)
        )  # fmt: skip

    def _fit_pixel_statistics(self, addresses: list[str | None], target: Array) -> None:
        """Learn pixel statistics and flip invariance from training photos."""
        pixels = get_pixel_cache(self.side).get_pixels(addresses, self.fill_color)
        if self.pretrained is None or self.is_frozen:
            self.mean = pixels.mean(axis=(0, 1, 2)) / 255
            self.std = np.maximum(pixels.std(axis=(0, 1, 2)) / 255, MIN_CHANNEL_STD)
        # Frozen embeddings are of unflipped photos, so flip invariance is not needed.
        if self.options.allow_flip is None and not self.is_frozen:
            self.allow_flip = is_flip_invariant(pixels, target)
        if self.transferred_weights:
            indices = np.linspace(
                0, len(pixels) - 1, min(MAX_TRANSFER_IMAGES, len(pixels)), dtype=int
            )
            self.transfer_pixels = pixels[indices]

    @property
    def fill_color(self) -> Array:
        """The color of the square that replaces a missing photo, shape (3,), uint8."""
        return np.rint(np.clip(self.mean, 0, 1) * 255).astype(np.uint8)

    def transform(self, photos: ImageColumns) -> LazyEncodedRows:
        """Encode rows as images, shape (rows, columns, side, side, 3), uint8.

        With a frozen network: as its standardized embeddings, shape (rows, n_features).
        """

        @cache
        def load_pixels() -> Array:
            return get_pixel_cache(self.side).get_pixels(photos.addresses, self.fill_color)

        @cache
        def encode_embeddings() -> list[Array]:
            pairs = zip(self.embedding_scalers, photos.embeddings, strict=True)
            return [scaler.transform(embeddings) for scaler, embeddings in pairs]

        def build_tensors() -> dict[str, Array]:
            if self.is_frozen:
                return {"image": np.hstack(encode_embeddings()).astype(np.float32)}
            return {
                "image": load_pixels().reshape(
                    photos.n_rows, len(self.column_names), *load_pixels().shape[1:]
                )
            }

        return LazyEncodedRows(
            build_tensors, lambda: self._matrix(photos, load_pixels(), encode_embeddings())
        )

    def _matrix(self, photos: ImageColumns, pixels: Array, embeddings: list[Array]) -> Matrix:
        """Handcrafted features of each photo, then its embedding; NaN where there is no photo."""
        values = extract_features(pixels)
        values[[address is None for address in photos.addresses]] = np.nan
        names = [f"{column} ({name})" for column in self.column_names for name in FEATURE_NAMES]
        parts = [values.reshape(photos.n_rows, len(names))]
        for column, addresses, column_embeddings in zip(
            self.column_names, photos.column_addresses, embeddings, strict=False
        ):
            is_present = np.array([address is not None for address in addresses], dtype=bool)
            parts.append(np.where(is_present[:, None], column_embeddings, np.nan))
            names += [f"{column} (vector {i + 1})" for i in range(column_embeddings.shape[1])]
        table = np.hstack(parts).astype(np.float32)
        return Matrix(table, tuple(names), (0,) * len(names))

    def state(self) -> State:
        """The fitted values, with the pretrained network as an ONNX file."""
        values: Json = {
            "image_size": self.side,
            "horizontal_flip": self.allow_flip,
            "config": self.backbone_config,
        }
        arrays = {"mean": self.mean, "std": self.std}
        if self.pretrained is None:
            return State(values, arrays)
        for i, scaler in enumerate(self.embedding_scalers):
            arrays[f"embedding_scaler.{i}"] = np.stack([scaler.mean, scaler.std])
        values["preprocessor_config"] = asdict(self.pretrained.preprocessor)
        return State(values, arrays, {"backbone": self.pretrained.backbone.path})

    def restore(self, state: State) -> None:
        """Load a fitted state; the folder of the pretrained network is no longer needed."""
        self.side = state.values["image_size"]
        self.allow_flip = state.values["horizontal_flip"]
        self.mean, self.std = (
            np.asarray(state.arrays[name], dtype=np.float64) for name in ("mean", "std")
        )
        self.backbone_config = state.values.get("config", {})
        if "backbone" not in state.files:
            self.transferred_weights = {}
            return
        preprocessor = PreprocessorConfig(**state.values["preprocessor_config"])
        self.pretrained = PretrainedImageEncoder(
            preprocessor, load_backbone(state.files["backbone"])
        )
        arrays = (state.arrays[f"embedding_scaler.{i}"] for i in range(len(self.column_names)))
        self.embedding_scalers = [EmbeddingScaler(*array) for array in arrays]


def choose_side(addresses: Sequence[str | None]) -> int:
    """The largest candidate side that enlarges the median photo by at most 15 %."""
    headers = [
        header
        for header in read_image_headers([address for address in addresses if address])
        if header
    ]
    if not headers:
        return CANDIDATE_SIDES_PIXELS[0]
    median_side = float(np.median([(header.width * header.height) ** 0.5 for header in headers]))
    fitting_sides = [side for side in CANDIDATE_SIDES_PIXELS if side <= 1.15 * median_side]
    return max(fitting_sides, default=CANDIDATE_SIDES_PIXELS[0])
