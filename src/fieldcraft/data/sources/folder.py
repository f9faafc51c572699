"""Folders and patterns: the files of one table, such as ``data/part-*.csv``."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fieldcraft.core.digest import of_json
from fieldcraft.core.errors import DataError
from fieldcraft.core.words import listed
from fieldcraft.data.photos import is_photo, photo_table, photos_below, photos_digest
from fieldcraft.data.place import Place, names_in, present, root_of
from fieldcraft.data.reading import Reading, claimant
from fieldcraft.data.together import of_parts, read_together, tables_among


class Folder:
    """Files with the same columns, put together in the natural order of their names; or photos."""

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
        if photos := photos_of(place):
            root = root_of(place)
            rest = [f.path.name for f in files_of(place) if not is_photo(f.path.name)]
            return photo_table(photos, rest, root.name)
        tables, others = parts_of(place)
        reading = read_together(tables, names, place.address)
        if not others:
            return reading
        note = f"left out, for they are no tables: {listed([p.path.name for p in others], 5)}"
        return replace(reading, notes=(*reading.notes, note))

    def digest(self, place: Place) -> str:
        """Digest of the names and contents of the files."""
        if photos := photos_of(place):
            return photos_digest(root_of(place), photos)
        tables, _ = parts_of(place)
        return of_json(of_parts(tables, root_of(place)))


def parts_of(place: Place) -> tuple[list[Place], list[Place]]:
    """The files of tables in a folder or of a pattern, in natural order, and other files.

    Raises:
        DataError: there is no such folder, no file of that pattern, or no table among them.
    """
    tables, rest = tables_among(files_of(place))
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


def files_of(place: Place) -> list[Place]:
    """The files in a folder, without those in folders within, or of a pattern."""
    if place.is_pattern:
        found = [Path(name) for name in glob.glob(place.address, recursive=True)]
    else:
        found = [place.path / name for name in names_in(place.path) if name[0] not in "._"]
    return [Place(str(path)) for path in found if path.is_file()]


def photos_of(place: Place) -> list[str]:
    """The photos below a folder that holds no table, relative to it; or those of a pattern."""
    files, root = files_of(place), root_of(place)
    if any(claimant(file) for file in files):
        return []
    if place.is_pattern:
        return [f.path.relative_to(root).as_posix() for f in files if is_photo(f.path.name)]
    return photos_below(root) if root.is_dir() else []


SOURCE = Folder()
