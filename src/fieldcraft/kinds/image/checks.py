"""Checks of photos: unreadable files, near-duplicates, low quality, and shortcuts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.errors import DataError
from fieldcraft.core.formatting import pluralize, truncated_list
from fieldcraft.core.types import Array
from fieldcraft.data import file_cells
from fieldcraft.kinds.image.decode import ImageHeader, decode_image
from fieldcraft.kinds.image.near_duplicates import (
    COMPARISON_SIDE_PIXELS,
    FILL_COLOR,
    group_near_duplicates,
)
from fieldcraft.kinds.image.pixel_cache import get_pixel_cache, read_image_headers
from fieldcraft.ledger.records import Finding
from fieldcraft.statistics.association import association_strength, encode_levels, split_targets

MAX_IMAGES = 20_000  # photos that are checked; near-duplicates are sought among all photos
MAX_LISTED_IMAGES = 100  # per fault
FAULT_BY_MESSAGE = {  # parts of the details of `unreadable_image_error`
    "empty": "empty", "not a photo": "not a photo", "truncated": "truncated",
    "pixels are more": "too large", "decompression bomb": "too large",
}  # fmt: skip
MAX_EXAMPLES = 5
WARNING_FRACTION = 0.01  # of the photos; fewer near-duplicates are only an info
MAX_BLANK_STD, MAX_DARK_MEAN, MIN_BRIGHT_MEAN = 2.0, 18.0, 245.0  # of pixels from 0 to 255
MAX_AREA_RATIO = 16.0  # of the area of a photo to the median area, or the inverse
MIN_ASSOCIATION = 0.5  # association of file metadata with the target
BORDER_PIXELS = 2  # a sixteenth of the side of the images that are compared
N_COLOR_BINS = 3  # of red, green and blue of the border color
FRAME_AND_PAGE_BRIGHTNESS = (8, 247)  # darker is a black frame, brighter a white page
N_FOOT_ROWS = 4  # bottom rows of the image that have a single color in a truncated JPEG
MIN_IMAGES = 50


@dataclass(frozen=True)
class ImageSample:
    """The photos of a column, or an even sample of them.

    Attributes:
        row_positions: positions of their rows in the context.
        addresses: their addresses; None where even the header cannot be read.
        cells: their cells in the table.
        n_images: number of photos in the column.
    """

    row_positions: Array
    addresses: list[str | None]
    cells: list[str]
    n_images: int

    @property
    def sample_note(self) -> str:
        """A remark for titles if not all photos were checked, else an empty string."""
        n_sampled = len(self.cells)
        return (
            ""
            if n_sampled == self.n_images
            else f" (in a sample of {n_sampled:,} of {self.n_images:,})"
        )

    @property
    def is_readable(self) -> Array:
        """Which photos can be decoded."""
        present_addresses = [address for address in self.addresses if address]
        is_broken = dict(
            zip(
                present_addresses,
                get_pixel_cache(COMPARISON_SIDE_PIXELS).find_broken(present_addresses),
                strict=True,
            )
        )
        return np.array([bool(a and not is_broken[a]) for a in self.addresses], dtype=bool)


def iter_image_samples(
    context: CheckContext, max_images: int | None = MAX_IMAGES
) -> Iterator[tuple[str, ImageSample]]:
    """Yield the photo columns, each with an even sample of photos; all if max_images is None."""
    for column in context.schema.columns:
        if column.kind != "image":
            continue
        cells = context.column_profiles[column.name].column.cast(pl.String)
        rows = np.flatnonzero(cells.is_not_null().to_numpy())
        n_images = len(rows)
        rows = rows[np.linspace(0, n_images - 1, min(max_images or n_images, n_images), dtype=int)]
        row_indexes = rows.tolist()
        addresses = context.values[column.name][row_indexes].to_list()
        yield column.name, ImageSample(rows, addresses, cells[row_indexes].to_list(), n_images)


def format_examples(sample: ImageSample, positions: Sequence[int], context: CheckContext) -> str:
    """Name a few photos by row and file name."""
    names = []
    for i in positions:
        row_number = context.row_numbers[int(sample.row_positions[i])]
        names.append(f"row {row_number} ({os.path.basename(sample.cells[i])[:40]})")
    return truncated_list(names, MAX_EXAMPLES)


class UnreadableImages:
    """Cells whose photo is missing, damaged or truncated, or is not a photo."""

    code = "unreadable_images"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Decode every sampled photo; report those that fail."""
        for name, sample in iter_image_samples(context):
            unreadable = np.flatnonzero(~sample.is_readable).tolist()
            if not unreadable:
                continue
            fault_counts = Counter(
                describe_fault(sample.addresses[i], sample.cells[i])
                for i in unreadable[:MAX_LISTED_IMAGES]
            )
            fault_text = ", ".join(
                f"{count:,} {fault}" for fault, count in fault_counts.most_common()
            )
            n_unlisted = len(unreadable) - fault_counts.total()
            if n_unlisted:
                fault_text += f", and {n_unlisted:,} more"
            verb = "counts" if len(unreadable) == 1 else "count"
            yield Finding(
                self.code,
                "warning",
                f"{pluralize(len(unreadable), 'photo')} of {name}{sample.sample_note} cannot be "
                f"read and {verb} as missing ({fault_text}): "
                f"{format_examples(sample, unreadable, context)}",
                name,
                {
                    "images": len(unreadable),
                    "n_total": len(sample.cells),
                    "faults": dict(fault_counts),
                    "cells": [sample.cells[i] for i in unreadable[:MAX_LISTED_IMAGES]],
                },
                "replace them by complete files, or leave the rows out: "
                f"clean.columns.{name}.missing: drop",
            )


def describe_fault(address: str | None, cell: str) -> str:
    """Name the fault of a photo that cannot be decoded, in a word or two."""
    try:
        data = file_cells.read_content(address or cell)
    except DataError:
        return "not found"
    try:
        decode_image(data, COMPARISON_SIDE_PIXELS)
    except DataError as error:
        return next(
            (word for message, word in FAULT_BY_MESSAGE.items() if message in error.detail),
            "damaged",
        )
    return "temporarily unreadable"  # as it can be decoded now


class NearDuplicateImages:
    """Near-duplicates: photos of one object, or copies in another size or file format."""

    code = "near_duplicate_images"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Group near-duplicates among all photos of a column."""
        for name, sample in iter_image_samples(context, None):
            readable = np.flatnonzero(sample.is_readable)
            if len(readable) < 2:
                continue
            pixels = get_pixel_cache(COMPARISON_SIDE_PIXELS).get_pixels(
                [sample.addresses[i] for i in readable], FILL_COLOR
            )
            groups, is_complete = group_near_duplicates(pixels)
            if not groups:
                continue
            n_images = sum(map(len, groups))
            shown = [
                [sample.cells[readable[i]] for i in group[:MAX_EXAMPLES]] for group in groups[:20]
            ]
            is_rare = n_images < WARNING_FRACTION * len(readable)
            is_info = is_rare or context.group_column is not None
            at_least = "" if is_complete else "at least "
            yield Finding(
                self.code,
                "info" if is_info else "warning",
                f"{at_least}{pluralize(n_images, 'photo')} of {name}{sample.sample_note} are "
                f"near-duplicates ({pluralize(len(groups), 'group')}, the largest of "
                f"{len(groups[0])}): "
                f"{format_examples(sample, readable[groups[0]].tolist(), context)}",
                name,
                {"images": n_images, "groups": len(groups), "examples": shown},
                "the split keeps them in one part unless a group is very large "
                "(split.near_duplicates: group); a column that says which photos show the same "
                "object is safer: set data.group to it and split.strategy: group; copies can be "
                "removed",
            )


class LowQualityImages:
    """Photos that show nothing, or whose size differs very much from that of the others."""

    code = "low_quality_images"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Measure brightness and size of every sampled photo."""
        for name, sample in iter_image_samples(context):
            readable = np.flatnonzero(sample.is_readable)
            if not len(readable):
                continue
            addresses = [str(sample.addresses[i]) for i in readable]
            positions_by_fault = {
                fault: readable[mask].tolist()
                for fault, mask in find_quality_faults(addresses).items()
                if mask.any()
            }
            if positions_by_fault:
                yield self._build_finding(name, sample, positions_by_fault, context)

    def _build_finding(
        self,
        name: str,
        sample: ImageSample,
        positions_by_fault: Mapping[str, list[int]],
        context: CheckContext,
    ) -> Finding:
        fault_text = "; ".join(
            f"{len(positions):,} {fault}: {format_examples(sample, positions[:2], context)}"
            for fault, positions in positions_by_fault.items()
        )
        return Finding(
            self.code,
            "info",
            f"some photos of {name}{sample.sample_note} are of low quality: {fault_text}",
            name,
            {
                fault: [sample.cells[i] for i in positions[:100]]
                for fault, positions in positions_by_fault.items()
            },
            "check them; remove those that a person could not label either",
        )


def find_quality_faults(addresses: Sequence[str]) -> dict[str, Array]:
    """Masks of the photos that are blank, dark, bright, truncated, or of an unusual size."""
    pixels = get_pixel_cache(COMPARISON_SIDE_PIXELS).get_pixels(addresses, FILL_COLOR)
    mean, std = pixels.mean(axis=(1, 2, 3)), pixels.std(axis=(1, 2, 3))
    headers = read_image_headers(addresses)
    area = np.array(
        [header.width * header.height if header else 1 for header in headers], dtype=float
    )
    area_ratio = area / np.median(area)
    is_blank = std < MAX_BLANK_STD
    return {
        "of a single color": is_blank,
        "very dark": (mean < MAX_DARK_MEAN) & ~is_blank,
        "very bright": (mean > MIN_BRIGHT_MEAN) & ~is_blank,
        "of a single color at the bottom, as if truncated": is_truncated_jpeg(headers, pixels)
        & ~is_blank,
        "far larger than the rest": area_ratio > MAX_AREA_RATIO,
        "far smaller than the rest": area_ratio < 1 / MAX_AREA_RATIO,
    }


def is_truncated_jpeg(headers: Sequence[ImageHeader | None], pixels: Array) -> Array:
    """Mask of the JPEGs that end early: decoders fill the missing part with a single color.

    Where a program has closed such a file with an end marker, decoding raises no error.
    """
    foot_pixels = pixels[:, -N_FOOT_ROWS:].reshape(len(pixels), -1, 3).astype(np.int64)
    is_single_color = (np.ptp(foot_pixels, axis=1) == 0).all(axis=1)
    is_no_frame = (
        (foot_pixels[:, 0] > FRAME_AND_PAGE_BRIGHTNESS[0])
        & (foot_pixels[:, 0] < FRAME_AND_PAGE_BRIGHTNESS[1])
    ).any(axis=1)
    is_jpeg = np.array(
        [header is not None and header.format == "JPEG" for header in headers], dtype=bool
    )
    return np.asarray(is_single_color & is_no_frame & is_jpeg)


class ShortcutFeatures:
    """File metadata or the border of a photo predicts the target, whatever the photo shows."""

    code = "image_shortcut"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Measure the association of the metadata of training photos with the target."""
        if context.y is None or context.task is None or len(context.y) < MIN_IMAGES:
            return
        is_numeric_target = context.task.output == "value"
        for name, sample in iter_image_samples(context):
            present = np.flatnonzero([address is not None for address in sample.addresses])
            if len(present) < MIN_IMAGES:
                continue
            metadata = image_metadata([str(sample.addresses[i]) for i in present])
            for target, y in split_targets(context.y, context.targets):
                sample_y = y[sample.row_positions[present]]
                associations = {
                    field: association_strength(
                        encode_levels(pl.Series(field, values)), sample_y, is_numeric_target
                    )
                    for field, values in metadata.items()
                }
                strong_associations = {
                    field: association
                    for field, association in associations.items()
                    if association >= MIN_ASSOCIATION
                }
                if strong_associations:
                    yield self._build_finding(name, target, strong_associations, len(present))

    def _build_finding(
        self, name: str, target: str, associations: Mapping[str, float], n_images: int
    ) -> Finding:
        parts = [f"{field} ({association:.0%})" for field, association in associations.items()]
        return Finding(
            self.code,
            "warning",
            f"{target} can be predicted without looking at the photos of {name}: "
            f"explained by {truncated_list(parts)}",
            name,
            {"association_strength": dict(associations), "images": n_images},
            "find out how the photos were taken: with one camera, program or place per class, a "
            "model learns that instead; convert all photos to one size and file format, or take "
            "new ones",
        )


def image_metadata(addresses: Sequence[str]) -> dict[str, Array]:
    """Properties of files and borders of photos, which do not depend on the subject, by name.

    The names are part of the titles of findings.
    """
    headers = read_image_headers(addresses)
    sizes = np.array(
        [(header.width, header.height) if header else (0, 0) for header in headers], dtype=float
    )
    formats = [f"{header.format} {header.mode}" if header else "" for header in headers]
    cameras = [header.camera if header else "" for header in headers]
    pixels = get_pixel_cache(COMPARISON_SIDE_PIXELS).get_pixels(addresses, FILL_COLOR)
    is_border = np.ones((COMPARISON_SIDE_PIXELS, COMPARISON_SIDE_PIXELS), dtype=bool)
    is_border[BORDER_PIXELS:-BORDER_PIXELS, BORDER_PIXELS:-BORDER_PIXELS] = False
    border_pixels = pixels[:, is_border].astype(np.float32)  # (photos, border pixels, 3)
    border_colors = (border_pixels.mean(axis=1) // (256 / N_COLOR_BINS)).astype(
        np.int64
    ) @ N_COLOR_BINS ** np.arange(3)
    return {
        "the camera": np.unique(cameras, return_inverse=True)[1],
        "the file size": np.array([len(file_cells.read_content(address)) for address in addresses]),
        "the number of pixels": sizes.prod(axis=1),
        "the aspect ratio": sizes[:, 0] / np.maximum(sizes[:, 1], 1),
        "the file format": np.unique(formats, return_inverse=True)[1],
        "the brightness of the border": border_pixels.mean(axis=(1, 2)),
        "the color of the border": np.unique(border_colors, return_inverse=True)[1],
        "the contrast of the border": border_pixels.std(axis=1).mean(axis=1),
    }


CHECKS = (UnreadableImages(), NearDuplicateImages(), LowQualityImages(), ShortcutFeatures())
