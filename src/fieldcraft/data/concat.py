"""Put the tables of several files together as one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.core.formatting import join_names, pluralize, truncated_list
from fieldcraft.data.location import SourceLocation
from fieldcraft.data.source import ReadResult, TableSource, matching_source, read_location

MAX_NAME_CHARS = 40  # characters of a column's name in messages
NaturalSortKey = list[tuple[int, int, str]]


def natural_sort_key(name: str) -> NaturalSortKey:
    """What names are sorted by, so that ``part2`` comes before ``part10``.

    >>> sorted(["b", "a10", "a9"], key=natural)
    ['a9', 'a10', 'b']
    """
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]


def read_and_concat(
    locations: Sequence[SourceLocation], names: Sequence[str], address: str
) -> ReadResult:
    """Read several files of one table, one after the other.

    Args:
        locations: the files, in the order of their rows.
        names: column names, for files without a header.
        address: what the files make together, for messages.

    Raises:
        DataError: a file cannot be read, or has other columns than the rest.
    """
    reject_duplicate_tables(locations, address)
    if len(locations) == 1:
        return read_location(locations[0], names)
    results = [(location, read_location(location, names)) for location in locations]
    nonempty = [(location, result) for location, result in results if result.frame.width]
    if not nonempty:
        return results[0][1]
    frames = align_columns([(location.name, result.frame) for location, result in nonempty])
    lines: list[int] = []
    files: list[str] = []
    notes = [f"{pluralize(len(results), 'file')} put together: {describe_files(results)}"]
    for location, result in nonempty:
        lines += result.malformed_lines
        files += [location.name] * len(result.malformed_lines)
        notes += [f"{location.name}: {note}" for note in result.notes]
    return ReadResult(
        pl.DataFrame([concat_column(name, frames, address) for name in frames[0].columns]),
        nonempty[0][1].dialect,
        tuple(lines),
        tuple(files),
        tuple(notes),
    )


def describe_files(results: Sequence[tuple[SourceLocation, ReadResult]]) -> str:
    """The first files, with their rows."""
    files = [f"{place.path.name} ({reading.frame.height:,})" for place, reading in results]
    return truncated_list(files, 5)


def reject_duplicate_tables(locations: Sequence[SourceLocation], address: str) -> None:
    """Make sure that files are parts of a table, not the same table in several forms.

    Raises:
        DataError: they are of different forms, or two of them differ in nothing but the ending.
    """
    source_counts = Counter(
        source.name for location in locations if (source := matching_source(location))
    )
    if len(source_counts) > 1:
        raise DataError(
            f"{address} holds files of different forms",
            detail=join_names([f"{count} {form}" for form, count in sorted(source_counts.items())]),
            hint="name those you mean by a pattern, such as folder/*.csv",
        )
    stems = Counter(
        location.address.removesuffix(".gz").removesuffix(location.suffix) for location in locations
    )
    stem, count = stems.most_common(1)[0]
    if count > 1:
        raise DataError(
            f"{address} seems to hold the same table twice",
            detail=truncated_list(
                [other.path.name for other in locations if other.address.startswith(f"{stem}.")]
            ),
            hint="take one of them away, or name those you mean by a pattern",
        )


def align_columns(tables: Sequence[tuple[str, pl.DataFrame]]) -> list[pl.DataFrame]:
    """The tables with their columns in the order of the first.

    Raises:
        DataError: one has other columns than most.
    """
    modal_columns = Counter(frozenset(frame.columns) for _, frame in tables).most_common(1)[0][0]
    for name, frame in tables:
        lacking, extra = modal_columns.difference(frame.columns), set(frame.columns) - modal_columns
        if lacking or extra:
            parts = [("lacks", sorted(lacking)), ("has besides", sorted(extra))]
            shortened = [
                (verb, [column[:MAX_NAME_CHARS] for column in names]) for verb, names in parts
            ]
            raise DataError(
                f"{name} does not have the columns of the other files",
                detail="; ".join(
                    f"it {verb}: {truncated_list(names)}" for verb, names in shortened if names
                ),
                hint="use files with the same columns; pass --names if they have no header",
            )
    return [frame.select(tables[0][1].columns) for _, frame in tables]


def concat_column(name: str, frames: Sequence[pl.DataFrame], address: str) -> pl.Series:
    """A column of all tables, one after the other; one that mixes numbers and words is text.

    Raises:
        DataError: some tables hold times in it, and some something else.
    """
    parts = [frame[name] for frame in frames]
    dtypes = {part.dtype for part in parts if part.null_count() < len(part)}
    if len(dtypes) > 1 and not all(dtype.is_numeric() for dtype in dtypes):
        if any(dtype.is_temporal() for dtype in dtypes):
            raise DataError(
                f"the files of {address} hold different types in the column {name!r}",
                detail=truncated_list(sorted(map(str, dtypes))),
                hint="write them with the same types, or use text files",
            )
        dtypes = {pl.String()}
    if len(dtypes) == 1:
        parts = [part.cast(*dtypes) for part in parts]
    return pl.concat([part.to_frame() for part in parts], how="vertical_relaxed").to_series()


def partition_tables(
    locations: Sequence[SourceLocation],
) -> tuple[list[SourceLocation], list[SourceLocation]]:
    """The places that are files of tables, in natural order, and the rest."""
    tables: list[SourceLocation] = []
    others: list[SourceLocation] = []
    for location in sorted(locations, key=lambda place: natural_sort_key(place.address)):
        source: TableSource | None = matching_source(location) if location.is_file else None
        (tables if source else others).append(location)
    return tables, others


def file_digests(locations: Sequence[SourceLocation], root: Path) -> list[list[str]]:
    """Name below a folder and digest of every file."""
    return [
        [location.path.relative_to(root).as_posix(), location.digest()] for location in locations
    ]
