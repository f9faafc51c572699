"""Photos: cells that name image files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl

from fieldcraft.contracts import Array, Check, Json, Output, Rescore, Tensors
from fieldcraft.core.errors import DataError
from fieldcraft.data import media
from fieldcraft.data.look import Guess, Look
from fieldcraft.data.photos import ENDINGS
from fieldcraft.data.table import Column
from fieldcraft.kinds.image.encode import ImageEncoder
from fieldcraft.kinds.image.store import look_at

NEARLY_ALL = 0.95  # share of the cells that must name photos
NAME = r"(?i)(\.(" + "|".join(sorted(e[1:] for e in ENDINGS)) + r")$|^data:image/)"


class ImageKind:
    """A column of photos: paths, addresses on the web, or members of an archive."""

    name = "image"
    used = True
    holds: Literal["values", "files"] = "files"
    options: tuple[str, ...] = ("augment", "encoder", "mirror", "size", "tune")
    packages: tuple[str, ...] = ("pillow",)

    def recognise(self, look: Look) -> Guess | None:
        """Nearly all cells end as the names of image files do."""
        if not look.is_text or not len(look.values):
            return None
        texts = look.values.cast(pl.String)
        if texts.str.contains(NAME).mean() < NEARLY_ALL:  # type: ignore[operator]
            return None
        return Guess(self.name, 0.97, f"names of images such as {texts[0][:60]}")

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cells as addresses; one that leads to no photo is missing."""
        texts = cells.cast(pl.String)
        there = texts.drop_nulls().unique().to_list()
        looks = dict(zip(there, look_at(there), strict=True))
        found = [t if t is not None and looks[t] is not None else None for t in texts.to_list()]
        return pl.Series(cells.name, found, dtype=pl.String)

    def encoder(self, columns: Sequence[Column]) -> ImageEncoder:
        """A fresh encoder for the photo columns of a table."""
        return ImageEncoder(columns)

    def net(self, encoder: ImageEncoder, plain: bool) -> Any:
        """A fresh network over the photos; what is a vector already it passes as it is."""
        if encoder.frozen:
            from fieldcraft.fit.network import PassNet

            return PassNet("image", encoder.width)

        from fieldcraft.kinds.image.net import ImageNet

        return ImageNet(encoder)

    def checks(self) -> Sequence[Check]:
        """The checks for photo columns."""
        from fieldcraft.kinds.image import audit, audit_classes

        return (*audit.CHECKS, *audit_classes.CHECKS)

    def measures(self, values: pl.Series) -> dict[str, pl.Series]:
        """Size, shape and form of a photo, and how bright and colourful it is."""
        from fieldcraft.kinds.image.measure import measures

        return measures(values)

    def alike(self, values: pl.Series) -> Sequence[Array]:
        """Groups of rows whose photos look nearly the same."""
        from fieldcraft.kinds.image.near import alike_rows

        return alike_rows(values)

    def picture(self, value: Any) -> str | None:
        """A photo as a small JPEG; None where it cannot be read."""
        from fieldcraft.kinds.image.decode import thumbnail

        try:
            return thumbnail(media.content(str(value))) if value is not None else None
        except DataError:
            return None

    def explain(self, value: Any, said: Rescore) -> Json | None:
        """Where a photo speaks for a prediction and where against it; None if it is broken."""
        from fieldcraft.kinds.image.explain import explained

        try:
            return explained(media.content(str(value)), said) if value is not None else None
        except DataError:
            return None

    def trace(self, network: Any, row: Tensors, chosen: int, output: Output) -> list[Json]:
        """Of each photo of one row the maps of what a network traces its output back to."""
        from fieldcraft.kinds.image.gradients import maps

        return maps(network, row, chosen, output)

    def augmented(self, network: Any, rows: Tensors) -> list[list[str]]:
        """Of each column the photos of some rows as training changes them, drawn small."""
        from fieldcraft.kinds.image.augment import drawn

        return drawn(network, rows)


KIND = ImageKind()
