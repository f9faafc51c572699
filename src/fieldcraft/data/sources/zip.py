"""ZIP archives: one table, several files of the same columns, or photos."""

from __future__ import annotations

import lzma
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from fieldcraft.core.errors import DataError
from fieldcraft.core.words import listed
from fieldcraft.data.photos import is_photo, photo_table
from fieldcraft.data.place import Place, present
from fieldcraft.data.reading import Reading
from fieldcraft.data.together import read_together, tables_among
from fieldcraft.data.unpack import inflated, refuse_bomb

ENCRYPTED = 1  # bit of a member's flags
DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, OSError, EOFError,
    NotImplementedError, UnicodeDecodeError,
)  # fmt: skip


class Zip:
    """Archives of tables or of photos; nothing is written to disk."""

    name = "zip"
    forms = (".zip",)

    def claims(self, place: Place) -> bool:
        """Whether this is a file with that ending, and no archive within an archive."""
        return place.content is None and place.ends(*self.forms)

    def read(self, place: Place, names: Sequence[str]) -> Reading:
        """Read the tables in the archive, one after the other.

        Raises:
            DataError: the archive is not there, damaged, encrypted, a bomb, or has names that
                lead out of it; it holds no table, or files of different columns.
        """
        present(place.path)
        try:
            with zipfile.ZipFile(place.path) as archive:
                tables, rest = members(archive, place.name)
        except DAMAGE as error:
            raise DataError(
                f"{place.name} cannot be unpacked",
                seen=str(error),
                way_out="use a ZIP file that is whole; copy or download it again",
            ) from error
        photos = [other.address for other in rest if is_photo(other.address)]
        if not tables and photos:
            others = [other.address for other in rest if not is_photo(other.address)]
            return photo_table(photos, others, place.name)
        if not tables:
            raise DataError(
                f"no file of a table in {place.name}",
                seen=f"it holds: {listed([other.address for other in rest]) or 'nothing'}",
                way_out="use an archive with photos, or a CSV, Parquet or JSON lines file in it",
            )
        reading = read_together(tables, names, place.name)
        if not rest:
            return reading
        note = f"left out, for they are no tables: {listed([p.address for p in rest], 5)}"
        return replace(reading, notes=(*reading.notes, note))

    def digest(self, place: Place) -> str:
        """Digest of the archive."""
        return place.digest()


def members(archive: zipfile.ZipFile, name: str) -> tuple[list[Place], list[Place]]:
    """The tables in an archive with their bytes, and its other files without.

    Raises:
        DataError: a member is encrypted, a link, or its name leads out of the archive; two have
            the same name; the tables are far larger than the archive.
    """
    infos = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    for info in archive.infolist():
        refuse_unsafe(info, name)
    names = Counter(archive.namelist())
    if twice := [path for path, count in names.items() if count > 1]:
        raise DataError(
            f"{name} holds two files of one name",
            seen=listed(twice, 3),
            way_out="pack the files again, each once",
        )
    tables, rest = tables_among([Place(path, b"", name) for path in infos if not is_hidden(path)])
    wanted = [infos[place.address] for place in tables]
    packed = sum(info.compress_size for info in wanted)
    refuse_bomb(sum(info.file_size for info in wanted), packed, name)
    found: list[Place] = []
    for place, info in zip(tables, wanted, strict=True):
        with archive.open(info) as stream:
            found.append(replace(place, content=inflated(stream, info.compress_size, place.name)))
    return found, rest


def is_hidden(path: str) -> bool:
    """Whether a member is none of the archive's own files but of the system that packed it."""
    return any(part == "__MACOSX" or part.startswith(".") for part in PurePosixPath(path).parts)


def refuse_unsafe(info: zipfile.ZipInfo, name: str) -> None:
    """Refuse a member that is encrypted, a link, or named to lead out of the archive.

    Raises:
        DataError: it is.
    """
    path = PurePosixPath(info.filename.replace("\\", "/"))
    leads_out = path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", info.filename)
    if info.flag_bits & ENCRYPTED:
        why, way_out = "is encrypted", "unpack it with its password, and name the table within"
    elif stat.S_ISLNK(info.external_attr >> 16):
        why, way_out = "is a link", "pack the file itself"
    elif leads_out:
        why, way_out = "has a name that leads out of the archive", "pack it with a plain name"
    else:
        return
    raise DataError(f"a member of {name} {why}", seen=info.filename, way_out=way_out)


SOURCE = Zip()
