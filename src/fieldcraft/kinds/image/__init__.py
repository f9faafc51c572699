"""Photos: cells with the path, URL or data URL of an image file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl

from fieldcraft.contracts import Check, Output, ScoreFunction, Tensors
from fieldcraft.core.errors import DataError
from fieldcraft.core.extras import require_extra
from fieldcraft.core.types import Array, Json
from fieldcraft.data import file_cells
from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.data.image_folder import IMAGE_SUFFIXES
from fieldcraft.data.schema import Column
from fieldcraft.kinds._base import BaseKind
from fieldcraft.kinds.image.encode import ImageEncoder
from fieldcraft.kinds.image.pixel_cache import read_image_headers

MIN_IMAGE_NAME_FRACTION = 0.95
IMAGE_NAME_PATTERN = (
    r"(?i)(\.(" + "|".join(sorted(e[1:] for e in IMAGE_SUFFIXES)) + r")$|^data:image/)"
)


class ImageKind(BaseKind):
    """A column of photos: file paths, URLs, data URLs, or members of an archive."""

    name = "image"
    storage: Literal["values", "files"] = "files"
    options: tuple[str, ...] = ("augment", "encoder", "finetune", "horizontal_flip", "image_size")
    packages: tuple[str, ...] = ("pillow",)

    def infer(self, profile: ColumnProfile) -> TypeInference | None:
        """Match a column of file names or URLs with the suffix of an image format, or data URLs."""
        if not profile.is_text or not len(profile.present_values):
            return None
        texts = profile.present_values.cast(pl.String)
        if texts.str.contains(IMAGE_NAME_PATTERN).mean() < MIN_IMAGE_NAME_FRACTION:  # type: ignore[operator]
            return None
        return TypeInference(self.name, 0.97, f"names of images such as {texts[0][:60]}")

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cells as addresses; one without a readable photo counts as missing."""
        texts = cells.cast(pl.String)
        # Headers only: pixels are decoded later, at the size that the encoder learns.
        addresses = texts.drop_nulls().unique().to_list()
        headers = dict(zip(addresses, read_image_headers(addresses), strict=True))
        valid_cells = [
            text if text is not None and headers[text] is not None else None
            for text in texts.to_list()
        ]
        return pl.Series(cells.name, valid_cells, dtype=pl.String)

    def encoder(self, columns: Sequence[Column]) -> ImageEncoder:
        """A new encoder for the photo columns of a table."""
        return ImageEncoder(columns)

    def net(self, encoder: ImageEncoder, without_embeddings: bool) -> Any:
        """A network over the photos, or a net that passes embeddings on unchanged."""
        if encoder.is_frozen:
            from fieldcraft.fit.network import IdentityNet

            return IdentityNet("image", encoder.n_features)

        require_extra("image")  # early: augmentation and explanations need the rest of it
        from fieldcraft.kinds.image.net import ImageEncoderNet

        return ImageEncoderNet(encoder)

    def checks(self) -> Sequence[Check]:
        """The checks for photo columns."""
        from fieldcraft.kinds.image import checks, class_checks

        return (*checks.CHECKS, *class_checks.CHECKS)

    def drift_statistics(self, values: pl.Series) -> dict[str, pl.Series]:
        """Size, aspect ratio and file format of each photo, and its brightness and color."""
        from fieldcraft.kinds.image.image_statistics import compute_drift_statistics

        return compute_drift_statistics(values)

    def near_duplicate_groups(self, values: pl.Series) -> Sequence[Array]:
        """Groups of rows whose photos are near-duplicates."""
        from fieldcraft.kinds.image.near_duplicates import find_near_duplicate_images

        return find_near_duplicate_images(values)

    def thumbnail(self, value: Any) -> str | None:
        """A photo as a small JPEG data URL; None where it cannot be read."""
        from fieldcraft.kinds.image.decode import render_thumbnail

        try:
            return (
                render_thumbnail(file_cells.read_content(str(value))) if value is not None else None
            )
        except DataError:
            return None

    def explain(self, value: Any, score: ScoreFunction) -> Json | None:
        """A map of the regions that support a prediction or oppose it; None if unreadable."""
        from fieldcraft.kinds.image.explain import explain_image

        try:
            return (
                explain_image(file_cells.read_content(str(value)), score)
                if value is not None
                else None
            )
        except DataError:
            return None

    def attributions(
        self, network: Any, row: Tensors, output_index: int, output: Output
    ) -> list[Json]:
        """Attribution maps by name for each photo of one row."""
        from fieldcraft.kinds.image.attributions import compute_image_attributions

        return compute_image_attributions(network, row, output_index, output)

    def augmentation_examples(self, network: Any, rows: Tensors) -> list[list[str]]:
        """For each column the photos of some rows as training augments them, as data URLs."""
        from fieldcraft.kinds.image.augment import render_augmented_images

        return render_augmented_images(network, rows)


KIND = ImageKind()
