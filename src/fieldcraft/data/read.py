"""Read a table from any source: the entry point to `fieldcraft.data.sources`.

Cells of text files stay text. The kind of each column parses them later, in one place for
training and prediction (`fieldcraft.data.schema.Schema`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from fieldcraft.core import files
from fieldcraft.core.errors import DataError
from fieldcraft.core.formatting import pluralize
from fieldcraft.data.location import SourceLocation
from fieldcraft.data.source import ReadResult, find_source, read_location


def read_table(source: str | Path, names: Sequence[str] = ()) -> ReadResult:
    """Read a table into a frame; cells of text files stay text.

    Args:
        source: a file (.csv, .tsv, .txt, .data, .jsonl, all also with .gz; .parquet; .zip), a
            folder or pattern of such files with the same columns (``data/*.csv``), or a table of
            a database (``sqlite:///shop.db?table=orders``, ``duckdb:///...?query=SELECT ...``).
        names: column names, for a table without a header.

    Raises:
        DataError: the table is missing, empty, damaged, or of an unknown format.
    """
    location = SourceLocation(str(source))
    result = read_cached(location.address, tuple(names), location_stamp(location))
    if result.frame.is_empty() or result.frame.width == 0:
        n_malformed = len(result.malformed_lines)
        raise DataError(
            f"{location.name or location.address} holds no rows",
            detail=f"{result.frame.height} rows x {result.frame.width} columns"
            + (
                f", {pluralize(n_malformed, 'malformed line')}: {result.describe_malformed()}"
                if n_malformed
                else ""
            ),
            hint="use a table with at least one row of data below its column names",
        )
    return result


@lru_cache(maxsize=1)
def read_cached(address: str, names: tuple[str, ...], stamp: tuple[int, ...]) -> ReadResult:
    """Read a location, or return the last result: consecutive stages read the same file.

    Args:
        address: address of the location.
        names: column names, for a table without a header.
        stamp: a value that changes when the file does.
    """
    # Only one table is cached: a large one may fill a good part of the memory.
    return read_location(SourceLocation(address), names)


def location_stamp(location: SourceLocation) -> tuple[int, ...]:
    """Return size, modification time and inode of a file; for other locations, a unique value."""
    try:
        if location.is_file and not location.scheme:
            # The inode too: size and time stay the same if a file is replaced by one of the same
            # size within the resolution of the clock.
            return (*files.file_stamp(location.path), location.path.stat().st_ino)
    except OSError:
        pass  # reading it raises the error that explains this
    return (time.monotonic_ns(),)  # folders and databases are always read again


def table_digest(source: str | Path) -> str:
    """Return the digest of the content of a table's source.

    Args:
        source: as for `read_table`; the content is not parsed.

    Raises:
        DataError: the source is missing or of an unknown format.
    """
    location = SourceLocation(str(source))
    return find_source(location).digest(location)
