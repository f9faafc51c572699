"""Concatenate the tables of several files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.core.formatting import join_names, pluralize, truncated_list
from fieldcraft.data.location import SourceLocation
from fieldcraft.data.source import ReadResult, TableSource, matching_source, read_location

MAX_NAME_CHARS = 40  # of a column name in messages
NaturalSortKey = list[tuple[int, int, str]]


def natural_sort_key(name: str) -> NaturalSortKey:
    """Return the key that sorts ``part2`` before ``part10``.

    >>> sorted(["b", "a10", "a9"], key=natural_sort_key)
    ['a9', 'a10', 'b']
    """
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]


def read_and_concat(
    locations: Sequence[SourceLocation], names: Sequence[str], address: str
) -> ReadResult:
    """Read the files of one table and concatenate their rows.

    Args:
        locations: the files, in the order of the rows.
        names: column names, for files without a header.
        address: the folder, pattern or archive, for messages.

    Raises:
        DataError: a file cannot be read, or its columns differ from those of the others.
    """
    # Before reading: the same table as both CSV and Parquet would silently double every row.
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
    notes = [f"{pluralize(len(results), 'file')} concatenated: {describe_files(results)}"]
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


def read_table_files(
    tables: Sequence[SourceLocation], ignored: Sequence[str], names: Sequence[str], address: str
) -> ReadResult:
    """Read the table files of a folder, pattern or archive, with a note on the ignored ones.

    Args:
        tables: the files of the table, in the order of the rows.
        ignored: names of the other files there.
        names: column names, for files without a header.
        address: the folder, pattern or archive, for messages.

    Raises:
        DataError: a file cannot be read, or its columns differ from those of the others.
    """
    result = read_and_concat(tables, names, address)
    if not ignored:
        return result
    note = f"ignored, not a table: {truncated_list(ignored, 5)}"
    return replace(result, notes=(*result.notes, note))


def describe_files(results: Sequence[tuple[SourceLocation, ReadResult]]) -> str:
    """Return the names and row counts of the first files."""
    files = [f"{location.path.name} ({result.frame.height:,})" for location, result in results]
    return truncated_list(files, 5)


def reject_duplicate_tables(locations: Sequence[SourceLocation], address: str) -> None:
    """Check that files are parts of a table, not the same table in several formats.

    Raises:
        DataError: their formats differ, or two names differ in nothing but the extension.
    """
    source_counts = Counter(
        source.name for location in locations if (source := matching_source(location))
    )
    if len(source_counts) > 1:
        raise DataError(
            f"{address} holds files of different formats",
            detail=join_names(
                [f"{count} {source}" for source, count in sorted(source_counts.items())]
            ),
            hint="select the files with a pattern, such as folder/*.csv",
        )
    stems = Counter(
        location.address.removesuffix(".gz").removesuffix(location.suffix) for location in locations
    )
    stem, count = stems.most_common(1)[0]
    if count > 1:
        raise DataError(
            f"{address} seems to hold the same table twice",
            detail=truncated_list(
                [
                    location.path.name
                    for location in locations
                    if location.address.startswith(f"{stem}.")
                ]
            ),
            hint="remove one of them, or select the files with a pattern",
        )


def align_columns(tables: Sequence[tuple[str, pl.DataFrame]]) -> list[pl.DataFrame]:
    """Reorder the columns of all tables as in the first.

    Raises:
        DataError: a table does not have the columns that most tables have.
    """
    # The majority decides, not the first table: the error names the odd one even if it is first.
    modal_columns = Counter(frozenset(frame.columns) for _, frame in tables).most_common(1)[0][0]
    for name, frame in tables:
        lacking, extra = modal_columns.difference(frame.columns), set(frame.columns) - modal_columns
        if lacking or extra:
            differences = [("lacks", sorted(lacking)), ("has in addition", sorted(extra))]
            shortened = [
                (verb, [column[:MAX_NAME_CHARS] for column in names]) for verb, names in differences
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
    """Concatenate a column of all tables; one that mixes numbers and words becomes text.

    Raises:
        DataError: some tables hold dates or times in it, and some another type.
    """
    parts = [frame[name] for frame in frames]
    # The type of a column without values is arbitrary, so it does not count.
    dtypes = {part.dtype for part in parts if part.null_count() < len(part)}
    if len(dtypes) > 1 and not all(dtype.is_numeric() for dtype in dtypes):
        reject_mixed_temporal(dtypes, name, address)
        dtypes = {pl.String()}
    if len(dtypes) == 1:
        parts = [part.cast(*dtypes) for part in parts]
    return pl.concat([part.to_frame() for part in parts], how="vertical_relaxed").to_series()


def reject_mixed_temporal(dtypes: Iterable[pl.DataType], name: str, address: str) -> None:
    """Check that a column of mixed types holds no dates or times.

    As text, dates of different types would not be equal or sort in order of time.

    Raises:
        DataError: one of the types is a date or a time.
    """
    if any(dtype.is_temporal() for dtype in dtypes):
        raise DataError(
            f"the files of {address} hold different types in the column {name!r}",
            detail=truncated_list(sorted(map(str, dtypes))),
            hint="write them with the same types, or use text files",
        )


def partition_tables(
    locations: Sequence[SourceLocation],
) -> tuple[list[SourceLocation], list[SourceLocation]]:
    """Separate the files that hold tables from the others, both in natural order."""
    tables: list[SourceLocation] = []
    others: list[SourceLocation] = []
    for location in sorted(locations, key=lambda location: natural_sort_key(location.address)):
        source: TableSource | None = matching_source(location) if location.is_file else None
        (tables if source else others).append(location)
    return tables, others


def file_digests(locations: Sequence[SourceLocation], root: Path) -> list[list[str]]:
    """Return the path relative to a folder and the digest of each file."""
    return [
        [location.path.relative_to(root).as_posix(), location.digest()] for location in locations
    ]
