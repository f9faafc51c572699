"""Folders and patterns: the files of one table, such as ``data/part-*.csv``."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from fieldcraft.core.digest import of_json
from fieldcraft.core.errors import DataError
from fieldcraft.core.words import listed
from fieldcraft.data.place import Place, names_in, present
from fieldcraft.data.reading import Reading
from fieldcraft.data.together import of_parts, read_together, tables_among

ESCAPED = re.compile(r"\[([\[*?])\]")  # how `glob.escape` writes a character that stands for itself


class Folder:
    """Files with the same columns, put together in the natural order of their names."""

    name = "folder"
    forms = ("a folder", "a pattern such as data/*.csv")

    def claims(self, place: Place) -> bool:
        """Whether this is a folder or a pattern."""
        return place.is_pattern or not (place.is_file or place.scheme)

    def read(self, place: Place, names: Sequence[str]) -> Reading:
        """Read all files, one after the other.

        Raises:
            DataError: there are none, one cannot be read, or one has other columns.
        """
        tables, rest = parts_of(place)
        reading = read_together(tables, names, place.address)
        if not rest:
            return reading
        note = f"left out, for they are no tables: {listed([p.path.name for p in rest], 5)}"
        return replace(reading, notes=(*reading.notes, note))

    def digest(self, place: Place) -> str:
        """Digest of the names and contents of the files."""
        tables, _ = parts_of(place)
        return of_json(of_parts(tables, root_of(place)))


def root_of(place: Place) -> Path:
    """The folder that the names of the files are relative to."""
    if not place.is_pattern:
        return place.path
    parts = place.path.parts
    fixed = takewhile(lambda part: not glob.has_magic(ESCAPED.sub("", part)), parts)
    return Path(*[ESCAPED.sub(r"\1", part) for part in fixed])


def parts_of(place: Place) -> tuple[list[Place], list[Place]]:
    """The files of tables in a folder or of a pattern, in natural order, and other files.

    Raises:
        DataError: there is no such folder, no file of that pattern, or no table among them.
    """
    if place.is_pattern:
        found = [Path(name) for name in glob.glob(place.address, recursive=True)]
    else:
        found = [place.path / name for name in names_in(place.path) if name[0] not in "._"]
    tables, rest = tables_among([Place(str(path)) for path in found if path.is_file()])
    if tables:
        return tables, rest
    root = root_of(place)
    present(root)
    there = names_in(root)
    raise DataError(
        f"no file of a table in {place.address}",
        seen=f"{root} holds: {listed(there, 6)}" if there else f"{root} is empty",
        way_out="name a file, or a pattern that fits some: data/*.csv, or data/**/*.csv for "
        "folders within folders",
    )


SOURCE = Folder()
