"""Read a table as it stands, wherever it is: the one door to `fieldcraft.data.sources`.

Cells of text files stay text here; what they mean is decided per column by its kind, in one
place (`fieldcraft.data.table.Schema`), for training and prediction alike.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from fieldcraft.core.errors import DataError
from fieldcraft.core.words import plural
from fieldcraft.data.frames import from_frame, plain_columns
from fieldcraft.data.place import Place, located, relative
from fieldcraft.data.reading import Reading, read_place, source_of

__all__ = [
    "Reading",
    "digest_of",
    "from_frame",
    "located",
    "plain_columns",
    "read_table",
    "relative",
]


def read_table(source: str | Path, names: Sequence[str] = ()) -> Reading:
    """Read a table into a frame; text files give text cells.

    Args:
        source: a file (.csv, .tsv, .txt, .data, .jsonl, all also with .gz; .parquet; .zip), a
            folder or pattern of such files with the same columns (``data/*.csv``), or a table of
            a database (``sqlite:///shop.db?table=orders``, ``duckdb:///...?query=SELECT ...``).
        names: column names, for a table without a header.

    Raises:
        DataError: the table is missing, empty, damaged, or not of a known form.
    """
    place = Place(str(source))
    reading = read_again(place.address, tuple(names), stamp(place))
    if reading.frame.is_empty() or reading.frame.width == 0:
        odd = len(reading.odd_lines)
        raise DataError(
            f"{place.name or place.address} holds no rows",
            seen=f"{reading.frame.height} rows x {reading.frame.width} columns"
            + (f", {plural(odd, 'line')} that did not fit: {reading.odd()}" if odd else ""),
            way_out="use a table with at least one row of data under its column names",
        )
    return reading


@lru_cache(maxsize=1)
def read_again(address: str, names: tuple[str, ...], stamp: tuple[int, ...]) -> Reading:
    """Read a place, or remember it: several stages in a row read the same file.

    Args:
        address: of the place.
        names: column names, for a table without a header.
        stamp: changes with the file.
    """
    return read_place(Place(address), names)


def stamp(place: Place) -> tuple[int, ...]:
    """Size, time and number of a file; of other places something that is never the same."""
    try:
        found = place.path.stat() if place.is_file and not place.scheme else None
    except OSError:
        found = None
    return (found.st_size, found.st_mtime_ns, found.st_ino) if found else (time.monotonic_ns(),)


def digest_of(source: str | Path) -> str:
    """Digest of the content of a table's source; it stays while the content stays.

    Args:
        source: what `read_table` takes; the content is not parsed.

    Raises:
        DataError: the source is missing or not of a known form.
    """
    place = Place(str(source))
    return source_of(place).digest(place)
