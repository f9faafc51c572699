"""Checks of photos: unreadable, nearly the same, poor, and told apart by the wrong things."""

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

MAX_IMAGES = 20_000  # photos that are looked at, but for copies, which are sought among all
MAX_LISTED_IMAGES = 100  # photos of one fault
FAULT_BY_MESSAGE = {
    "empty": "empty", "not a photo": "no photo", "truncated": "cut short",
    "pixels are more": "too large", "decompression bomb": "too large",
}  # fmt: skip
MAX_EXAMPLES = 5
WARNING_FRACTION = 0.01  # share of the photos that look like another; fewer do little harm
MAX_BLANK_STD, MAX_DARK_MEAN, MIN_BRIGHT_MEAN = (
    2.0,
    18.0,
    245.0,
)  # spread and means of pixels, of 255
MAX_AREA_RATIO = 16.0  # times more or fewer pixels than the middle photo
MIN_ASSOCIATION = 0.5  # share of the target that a photo's file tells by itself
BORDER_PIXELS = 2  # pixels of the square's edge: a sixteenth of the side
N_COLOR_BINS = 3  # steps of red, green and blue of the edge's colour
FRAME_AND_PAGE_BRIGHTNESS = (8, 247)  # what is darker or brighter is a frame or a page
N_FOOT_ROWS = 4  # rows at the foot of a square that are of one colour where a photo was cut short
MIN_IMAGES = 50


@dataclass(frozen=True)
class ImageSample:
    """The photos of a column, or an even sample of them.

    Attributes:
        row_positions: positions of their rows in the view.
        addresses: where they are; None where even the head cannot be read.
        cells: as the table has them.
        n_images: how many photos the column has.
    """

    row_positions: Array
    addresses: list[str | None]
    cells: list[str]
    n_images: int

    @property
    def sample_note(self) -> str:
        """What a title says where not all photos were looked at."""
        n_sampled = len(self.cells)
        return (
            ""
            if n_sampled == self.n_images
            else f" (of {n_sampled:,} looked at, of {self.n_images:,})"
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
    """The photo columns of a view, with their photos, or so many of them; all if most is None."""
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
    """A few photos by row and name."""
    names = [
        f"row {context.row_numbers[int(sample.row_positions[i])]} ({os.path.basename(sample.cells[i])[:40]})"
        for i in positions
    ]
    return truncated_list(names, MAX_EXAMPLES)


class UnreadableImages:
    """Photos that are not there, damaged, cut short, or no photos at all."""

    code = "unreadable_photo"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Decode every photo."""
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
            yield Finding(
                self.code,
                "warn",
                f"{pluralize(len(unreadable), 'photo')} of {name}{sample.sample_note} cannot be read and "
                f"{'counts' if len(unreadable) == 1 else 'count'} as missing ({fault_text}"
                f"{f', and {n_unlisted:,} more' if n_unlisted else ''}): {format_examples(sample, unreadable, context)}",
                name,
                {"photos": len(unreadable), "of": len(sample.cells), "faults": dict(fault_counts),
                 "cells": [sample.cells[i] for i in unreadable[:MAX_LISTED_IMAGES]]},
                "put whole files in their place, or leave the rows out: "
                f"clean.columns.{name}.missing: drop",
            )  # fmt: skip


def describe_fault(address: str | None, cell: str) -> str:
    """What is wrong with a photo that cannot be decoded, in a word or two."""
    try:
        data = file_cells.read_content(address or cell)
    except DataError:
        return "not there"
    try:
        decode_image(data, COMPARISON_SIDE_PIXELS)
    except DataError as error:
        return next(
            (word for message, word in FAULT_BY_MESSAGE.items() if message in error.detail),
            "damaged",
        )
    return "not read at first"


class NearDuplicateImages:
    """Photos that are nearly the same: shots of one thing, or copies in another size or form."""

    code = "near_photos"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare every photo with every other."""
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
            count = sum(map(len, groups))
            shown = [
                [sample.cells[readable[i]] for i in group[:MAX_EXAMPLES]] for group in groups[:20]
            ]
            is_info = count < WARNING_FRACTION * len(readable) or context.group_column is not None
            yield Finding(
                self.code,
                "tip" if is_info else "warn",
                f"{'' if is_complete else 'at least '}{pluralize(count, 'photo')} of {name}{sample.sample_note} "
                f"look nearly like another ({pluralize(len(groups), 'group')}, the largest of "
                f"{len(groups[0])}): {format_examples(sample, readable[groups[0]].tolist(), context)}",
                name,
                {"photos": count, "groups": len(groups), "examples": shown},
                "the split keeps them on one side unless a group is very large (split.near: "
                "together); a column that tells which photos show the same thing does it better: "
                "name it in data.entity and set split.rule: entity; copies can go",
            )  # fmt: skip


class LowQualityImages:
    """Photos that show nothing, or are of a far other size than the rest."""

    code = "poor_photos"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Measure light and size of every photo."""
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
            "tip",
            f"some photos of {name}{sample.sample_note} look poor: {fault_text}",
            name,
            {
                fault: [sample.cells[i] for i in positions[:100]]
                for fault, positions in positions_by_fault.items()
            },
            "look at them; take out what nobody could tell either",
        )


def find_quality_faults(addresses: Sequence[str]) -> dict[str, Array]:
    """Which photos are blank, dark, bright, or of an odd size."""
    pixels = get_pixel_cache(COMPARISON_SIDE_PIXELS).get_pixels(addresses, FILL_COLOR)
    mean, std = pixels.mean(axis=(1, 2, 3)), pixels.std(axis=(1, 2, 3))
    headers = read_image_headers(addresses)
    area = np.array(
        [header.width * header.height if header else 1 for header in headers], dtype=float
    )
    area_ratio = area / np.median(area)
    is_blank = std < MAX_BLANK_STD
    return {
        "of one colour": is_blank,
        "very dark": (mean < MAX_DARK_MEAN) & ~is_blank,
        "very bright": (mean > MIN_BRIGHT_MEAN) & ~is_blank,
        "of one colour at the foot, as if cut short": is_truncated_jpeg(headers, pixels)
        & ~is_blank,
        "far larger than the rest": area_ratio > MAX_AREA_RATIO,
        "far smaller than the rest": area_ratio < 1 / MAX_AREA_RATIO,
    }


def is_truncated_jpeg(headers: Sequence[ImageHeader | None], pixels: Array) -> Array:
    """Which photos are JPEGs that end early: of what is not there, a decoder makes one colour."""
    foot_pixels = pixels[:, -N_FOOT_ROWS:].reshape(len(pixels), -1, 3).astype(np.int64)
    is_single_color = (np.ptp(foot_pixels, axis=1) == 0).all(axis=1)
    is_no_frame = (
        (foot_pixels[:, 0] > FRAME_AND_PAGE_BRIGHTNESS[0])
        & (foot_pixels[:, 0] < FRAME_AND_PAGE_BRIGHTNESS[1])
    ).any(axis=1)  # no page, no frame
    is_jpeg = np.array(
        [header is not None and header.format == "JPEG" for header in headers], dtype=bool
    )
    return np.asarray(is_single_color & is_no_frame & is_jpeg)


class ShortcutFeatures:
    """What a photo shows is not needed to tell the target: its file or its edge gives it away."""

    code = "shortcut"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Measure how much of the target the size, form and edge of training photos tell."""
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
                    fact: association_strength(
                        encode_levels(pl.Series(fact, values)), sample_y, is_numeric_target
                    )
                    for fact, values in metadata.items()
                }
                strong_associations = {
                    fact: association
                    for fact, association in associations.items()
                    if association >= MIN_ASSOCIATION
                }
                if strong_associations:
                    yield self._build_finding(name, target, strong_associations, len(present))

    def _build_finding(
        self, name: str, target: str, associations: Mapping[str, float], n_images: int
    ) -> Finding:
        parts = [f"{fact} {association:.0%}" for fact, association in associations.items()]
        return Finding(
            self.code,
            "warn",
            f"what the photos of {name} show is hardly needed to tell {target}: "
            f"{truncated_list(parts)} of it are told by that alone",
            name,
            {"power": dict(associations), "photos": n_images},
            "ask how the photos were taken: one camera, program or place for each class? A model "
            "will learn that instead; bring all photos to one size and form, or take new ones",
        )


def image_metadata(addresses: Sequence[str]) -> dict[str, Array]:
    """What is known of photos without looking at what they show."""
    headers = read_image_headers(addresses)
    sizes = np.array(
        [(header.width, header.height) if header else (0, 0) for header in headers], dtype=float
    )
    formats = [f"{header.format} {header.mode}" if header else "" for header in headers]
    cameras = [header.camera if header else "" for header in headers]
    pixels = get_pixel_cache(COMPARISON_SIDE_PIXELS).get_pixels(addresses, FILL_COLOR)
    is_border = np.ones((COMPARISON_SIDE_PIXELS, COMPARISON_SIDE_PIXELS), dtype=bool)
    is_border[BORDER_PIXELS:-BORDER_PIXELS, BORDER_PIXELS:-BORDER_PIXELS] = False
    border_pixels = pixels[:, is_border].astype(np.float32)  # (photos, pixels of the edge, 3)
    border_colors = (border_pixels.mean(axis=1) // (256 / N_COLOR_BINS)).astype(
        np.int64
    ) @ N_COLOR_BINS ** np.arange(3)
    return {
        "the camera": np.unique(cameras, return_inverse=True)[1],
        "the size of the file": np.array(
            [len(file_cells.read_content(address)) for address in addresses]
        ),
        "the number of pixels": sizes.prod(axis=1),
        "the proportions": sizes[:, 0] / np.maximum(sizes[:, 1], 1),
        "the form of the file": np.unique(formats, return_inverse=True)[1],
        "the brightness of the edge": border_pixels.mean(axis=(1, 2)),
        "the colour of the edge": np.unique(border_colors, return_inverse=True)[1],
        "the evenness of the edge": border_pixels.std(axis=1).mean(axis=1),
    }


CHECKS = (UnreadableImages(), NearDuplicateImages(), LowQualityImages(), ShortcutFeatures())
