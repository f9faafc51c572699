"""Drift statistics of photos: size, shape, file format, brightness, contrast and color."""

from __future__ import annotations

import numpy as np
import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.data import file_cells
from fieldcraft.kinds.image.decode import decode_image
from fieldcraft.kinds.image.pixel_cache import map_in_threads, read_image_headers

STATISTICS_SIDE_PIXELS = 16  # enough for means, and a JPEG is decoded quickly at an eighth
STATISTIC_NAMES = ("size", "shape", "brightness", "contrast", "color")
ImageStatistics = tuple[str | None, tuple[float | None, ...]]
MISSING_STATISTICS: ImageStatistics = (None, (None,) * len(STATISTIC_NAMES))


def compute_drift_statistics(values: pl.Series) -> dict[str, pl.Series]:
    """Drift statistics of the photos at some addresses, null where a photo cannot be read.

    ``form`` is the file format, ``size`` the square root of the number of pixels, ``shape`` width
    divided by height; ``brightness``, ``contrast`` and ``color``, from 0 to 1, are the mean and the
    standard deviation of the brightness, and the mean range of the three colors of a pixel.
    """
    addresses = values.drop_nulls().unique(maintain_order=True).to_list()
    # Each distinct photo is read once, though several rows may have it.
    headers = read_image_headers(addresses)
    color_statistics = map_in_threads(measure_color, addresses)
    statistics_by_address: dict[str | None, ImageStatistics] = {None: MISSING_STATISTICS}
    for address, header, colors in zip(addresses, headers, color_statistics, strict=True):
        if header is not None and colors is not None:
            aspect_ratio = header.width / max(header.height, 1)
            statistics_by_address[address] = (
                header.format,
                ((header.width * header.height) ** 0.5, aspect_ratio, *colors),
            )
    rows = [statistics_by_address.get(address, MISSING_STATISTICS) for address in values.to_list()]
    columns = (
        zip(*(statistics for _, statistics in rows), strict=True)
        if rows
        else [()] * len(STATISTIC_NAMES)
    )
    statistics = {
        name: pl.Series(name, column, dtype=pl.Float64)
        for name, column in zip(STATISTIC_NAMES, columns, strict=True)
    }
    return {
        "form": pl.Series("form", [file_format for file_format, _ in rows], dtype=pl.String),
        **statistics,
    }


def measure_color(address: str) -> tuple[float, float, float] | None:
    """Brightness, contrast and color range of a photo; None where it cannot be decoded."""
    try:
        pixels = (
            decode_image(file_cells.read_content(address), STATISTICS_SIDE_PIXELS).astype(
                np.float32
            )
            / 255
        )
    except DataError:
        return None
    gray = pixels.mean(axis=-1)
    return float(gray.mean()), float(gray.std()), float(np.ptp(pixels, axis=-1).mean())
