"""What tells of photos in a few numbers: size, shape, form, light and colour."""

from __future__ import annotations

import numpy as np
import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.data import media
from fieldcraft.kinds.image.decode import decode
from fieldcraft.kinds.image.store import in_threads, look_at

SIDE = 16  # pixels of the square of which light and colour are told
NAMES = ("size", "shape", "brightness", "contrast", "colour")
Found = tuple[str | None, tuple[float | None, ...]]
NOTHING: Found = (None, (None,) * len(NAMES))


def measures(values: pl.Series) -> dict[str, pl.Series]:
    """Of photos by address: form of the file, size in pixels a side, width by height, mean
    brightness, spread of brightness and mean strength of colours, the last three from 0 to 1.
    """
    there = values.drop_nulls().unique(maintain_order=True).to_list()
    looks = look_at(there)
    squares = in_threads(light, there)
    found: dict[str | None, Found] = {None: NOTHING}
    for address, look, told in zip(there, looks, squares, strict=True):
        if look is not None and told is not None:
            shape = look.width / max(look.height, 1)
            found[address] = look.form, ((look.width * look.height) ** 0.5, shape, *told)
    rows = [found.get(address, NOTHING) for address in values.to_list()]
    columns = zip(*(numbers for _, numbers in rows), strict=True) if rows else [()] * len(NAMES)
    numbers = {
        name: pl.Series(name, column, dtype=pl.Float64)
        for name, column in zip(NAMES, columns, strict=True)
    }
    return {"form": pl.Series("form", [form for form, _ in rows], dtype=pl.String), **numbers}


def light(address: str) -> tuple[float, float, float] | None:
    """Brightness, contrast and colour of a photo; None where it cannot be decoded."""
    try:
        pixels = decode(media.content(address), SIDE).astype(np.float32) / 255
    except DataError:
        return None
    grey = pixels.mean(axis=-1)
    return float(grey.mean()), float(grey.std()), float(np.ptp(pixels, axis=-1).mean())
