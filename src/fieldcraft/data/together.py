"""Put the tables of several files together as one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.core.words import joined, listed, plural
from fieldcraft.data.place import Place
from fieldcraft.data.reading import Reading, Source, claimant, read_place

NAME_SHOWN = 40  # characters of a column's name in messages
Natural = list[tuple[int, int, str]]


def natural(name: str) -> Natural:
    """What names are sorted by, so that ``part2`` comes before ``part10``.

    >>> sorted(["b", "a10", "a9"], key=natural)
    ['a9', 'a10', 'b']
    """
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part]


def read_together(places: Sequence[Place], names: Sequence[str], whole: str) -> Reading:
    """Read several files of one table, one after the other.

    Args:
        places: the files, in the order of their rows.
        names: column names, for files without a header.
        whole: what the files make together, for messages.

    Raises:
        DataError: a file cannot be read, or has other columns than the rest.
    """
    refuse_twins(places, whole)
    if len(places) == 1:
        return read_place(places[0], names)
    readings = [(place, read_place(place, names)) for place in places]
    headed = [(place, reading) for place, reading in readings if reading.frame.width]
    if not headed:
        return readings[0][1]
    frames = same_columns([(place.name, reading.frame) for place, reading in headed])
    lines: list[int] = []
    files: list[str] = []
    notes = [f"{plural(len(readings), 'file')} put together: {told(readings)}"]
    for place, reading in headed:
        lines += reading.odd_lines
        files += [place.name] * len(reading.odd_lines)
        notes += [f"{place.name}: {note}" for note in reading.notes]
    return Reading(
        pl.DataFrame([joined_column(name, frames, whole) for name in frames[0].columns]),
        headed[0][1].dialect,
        tuple(lines),
        tuple(files),
        tuple(notes),
    )


def told(readings: Sequence[tuple[Place, Reading]]) -> str:
    """The first files, with their rows."""
    files = [f"{place.path.name} ({reading.frame.height:,})" for place, reading in readings]
    return listed(files, 5)


def refuse_twins(places: Sequence[Place], whole: str) -> None:
    """Make sure that files are parts of a table, not the same table in several forms.

    Raises:
        DataError: they are of different forms, or two of them differ in nothing but the ending.
    """
    forms = Counter(source.name for place in places if (source := claimant(place)))
    if len(forms) > 1:
        raise DataError(
            f"{whole} holds files of different forms",
            seen=joined([f"{count} {form}" for form, count in sorted(forms.items())]),
            way_out="name those you mean by a pattern, such as folder/*.csv",
        )
    stems = Counter(
        place.address.removesuffix(".gz").removesuffix(place.ending) for place in places
    )
    stem, count = stems.most_common(1)[0]
    if count > 1:
        raise DataError(
            f"{whole} seems to hold the same table twice",
            seen=listed([p.path.name for p in places if p.address.startswith(f"{stem}.")]),
            way_out="take one of them away, or name those you mean by a pattern",
        )


def same_columns(tables: Sequence[tuple[str, pl.DataFrame]]) -> list[pl.DataFrame]:
    """The tables with their columns in the order of the first.

    Raises:
        DataError: one has other columns than most.
    """
    usual = Counter(frozenset(frame.columns) for _, frame in tables).most_common(1)[0][0]
    for name, frame in tables:
        lacking, extra = usual.difference(frame.columns), set(frame.columns) - usual
        if lacking or extra:
            parts = [("lacks", sorted(lacking)), ("has besides", sorted(extra))]
            cut = [(verb, [found[:NAME_SHOWN] for found in names]) for verb, names in parts]
            raise DataError(
                f"{name} does not have the columns of the other files",
                seen="; ".join(f"it {verb}: {listed(names)}" for verb, names in cut if names),
                way_out="use files with the same columns; pass --names if they have no header",
            )
    return [frame.select(tables[0][1].columns) for _, frame in tables]


def joined_column(name: str, frames: Sequence[pl.DataFrame], whole: str) -> pl.Series:
    """A column of all tables, one after the other; one that mixes numbers and words is text.

    Raises:
        DataError: some tables hold times in it, and some something else.
    """
    parts = [frame[name] for frame in frames]
    types = {part.dtype for part in parts if part.null_count() < len(part)}
    if len(types) > 1 and not all(kind.is_numeric() for kind in types):
        if any(kind.is_temporal() for kind in types):
            raise DataError(
                f"the files of {whole} hold different types in the column {name!r}",
                seen=listed(sorted(map(str, types))),
                way_out="write them with the same types, or use text files",
            )
        types = {pl.String()}
    if len(types) == 1:
        parts = [part.cast(*types) for part in parts]
    return pl.concat([part.to_frame() for part in parts], how="vertical_relaxed").to_series()


def tables_among(places: Sequence[Place]) -> tuple[list[Place], list[Place]]:
    """The places that are files of tables, in natural order, and the rest."""
    tables: list[Place] = []
    rest: list[Place] = []
    for place in sorted(places, key=lambda place: natural(place.address)):
        source: Source | None = claimant(place) if place.is_file else None
        (tables if source else rest).append(place)
    return tables, rest


def of_parts(places: Sequence[Place], root: Path) -> list[list[str]]:
    """Name below a folder and digest of every file."""
    return [[place.path.relative_to(root).as_posix(), place.digest()] for place in places]
