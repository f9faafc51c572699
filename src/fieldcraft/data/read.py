"""Read a table as it stands, wherever it is: the one door to `fieldcraft.data.sources`.

Cells of text files stay text here; what they mean is decided per column by its kind, in one
place (`fieldcraft.data.schema.Schema`), for training and prediction alike.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from fieldcraft.core.errors import DataError
from fieldcraft.core.formatting import pluralize
from fieldcraft.data.location import SourceLocation
from fieldcraft.data.source import ReadResult, find_source, read_location


def read_table(source: str | Path, names: Sequence[str] = ()) -> ReadResult:
    """Read a table into a frame; text files give text cells.

    Args:
        source: a file (.csv, .tsv, .txt, .data, .jsonl, all also with .gz; .parquet; .zip), a
            folder or pattern of such files with the same columns (``data/*.csv``), or a table of
            a database (``sqlite:///shop.db?table=orders``, ``duckdb:///...?query=SELECT ...``).
        names: column names, for a table without a header.

    Raises:
        DataError: the table is missing, empty, damaged, or not of a known form.
    """
    location = SourceLocation(str(source))
    result = read_cached(location.address, tuple(names), file_stamp(location))
    if result.frame.is_empty() or result.frame.width == 0:
        n_malformed = len(result.malformed_lines)
        raise DataError(
            f"{location.name or location.address} holds no rows",
            detail=f"{result.frame.height} rows x {result.frame.width} columns"
            + (
                f", {pluralize(n_malformed, 'line')} that did not fit: {result.describe_malformed()}"
                if n_malformed
                else ""
            ),
            hint="use a table with at least one row of data under its column names",
        )
    return result


@lru_cache(maxsize=1)
def read_cached(address: str, names: tuple[str, ...], stamp: tuple[int, ...]) -> ReadResult:
    """Read a place, or remember it: several stages in a row read the same file.

    Args:
        address: of the place.
        names: column names, for a table without a header.
        stamp: changes with the file.
    """
    return read_location(SourceLocation(address), names)


def file_stamp(location: SourceLocation) -> tuple[int, ...]:
    """Size, time and number of a file; of other places something that is never the same."""
    try:
        stat = location.path.stat() if location.is_file and not location.scheme else None
    except OSError:
        stat = None
    return (stat.st_size, stat.st_mtime_ns, stat.st_ino) if stat else (time.monotonic_ns(),)


def table_digest(source: str | Path) -> str:
    """Digest of the content of a table's source; it stays while the content stays.

    Args:
        source: what `read_table` takes; the content is not parsed.

    Raises:
        DataError: the source is missing or not of a known form.
    """
    location = SourceLocation(str(source))
    return find_source(location).digest(location)
