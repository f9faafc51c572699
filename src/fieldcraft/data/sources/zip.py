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
from fieldcraft.core.formatting import truncated_list
from fieldcraft.data.concat import partition_tables, read_and_concat
from fieldcraft.data.decompression import read_decompressed, reject_decompression_bomb
from fieldcraft.data.image_folder import image_table, is_image
from fieldcraft.data.location import SourceLocation, require_path
from fieldcraft.data.source import ReadResult

ENCRYPTED_FLAG = 1  # bit of a member's flags
ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, OSError, EOFError,
    NotImplementedError, UnicodeDecodeError,
)  # fmt: skip


class ZipSource:
    """Archives of tables or of photos; nothing is written to disk."""

    name = "zip"
    address_forms = (".zip",)

    def can_read(self, location: SourceLocation) -> bool:
        """Whether this is a file with that ending, and no archive within an archive."""
        return location.content is None and location.has_suffix(*self.address_forms)

    def read(self, location: SourceLocation, names: Sequence[str]) -> ReadResult:
        """Read the tables in the archive, one after the other.

        Raises:
            DataError: the archive is not there, damaged, encrypted, a bomb, or has names that
                lead out of it; it holds no table, or files of different columns.
        """
        require_path(location.path)
        try:
            with zipfile.ZipFile(location.path) as archive:
                tables, other_members = read_members(archive, location.name)
        except ZIP_ERRORS as error:
            raise DataError(
                f"{location.name} cannot be unpacked",
                detail=str(error),
                hint="use a ZIP file that is whole; copy or download it again",
            ) from error
        image_names = [member.address for member in other_members if is_image(member.address)]
        if not tables and image_names:
            other_names = [
                member.address for member in other_members if not is_image(member.address)
            ]
            return image_table(image_names, other_names, location.name)
        if not tables:
            raise DataError(
                f"no file of a table in {location.name}",
                detail=f"it holds: {truncated_list([member.address for member in other_members]) or 'nothing'}",
                hint="use an archive with photos, or a CSV, Parquet or JSON lines file in it",
            )
        result = read_and_concat(tables, names, location.name)
        if not other_members:
            return result
        note = f"left out, for they are no tables: {truncated_list([other_member.address for other_member in other_members], 5)}"
        return replace(result, notes=(*result.notes, note))

    def digest(self, location: SourceLocation) -> str:
        """Digest of the archive."""
        return location.digest()


def read_members(
    archive: zipfile.ZipFile, name: str
) -> tuple[list[SourceLocation], list[SourceLocation]]:
    """The tables in an archive with their bytes, and its other files without.

    Raises:
        DataError: a member is encrypted, a link, or its name leads out of the archive; two have
            the same name; the tables are far larger than the archive.
    """
    infos = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    for info in archive.infolist():
        reject_unsafe_member(info, name)
    names = Counter(archive.namelist())
    if duplicate_names := [path for path, count in names.items() if count > 1]:
        raise DataError(
            f"{name} holds two files of one name",
            detail=truncated_list(duplicate_names, 3),
            hint="pack the files again, each once",
        )
    tables, other_members = partition_tables(
        [SourceLocation(path, b"", name) for path in infos if not is_hidden_member(path)]
    )
    table_infos = [infos[location.address] for location in tables]
    compressed_bytes = sum(info.compress_size for info in table_infos)
    reject_decompression_bomb(sum(info.file_size for info in table_infos), compressed_bytes, name)
    locations: list[SourceLocation] = []
    for location, info in zip(tables, table_infos, strict=True):
        with archive.open(info) as stream:
            locations.append(
                replace(
                    location, content=read_decompressed(stream, info.compress_size, location.name)
                )
            )
    return locations, other_members


def is_hidden_member(path: str) -> bool:
    """Whether a member is none of the archive's own files but of the system that packed it."""
    return any(part == "__MACOSX" or part.startswith(".") for part in PurePosixPath(path).parts)


def reject_unsafe_member(info: zipfile.ZipInfo, name: str) -> None:
    """Refuse a member that is encrypted, a link, or named to lead out of the archive.

    Raises:
        DataError: it is.
    """
    path = PurePosixPath(info.filename.replace("\\", "/"))
    leads_out = path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", info.filename)
    if info.flag_bits & ENCRYPTED_FLAG:
        reason, hint = "is encrypted", "unpack it with its password, and name the table within"
    elif stat.S_ISLNK(info.external_attr >> 16):
        reason, hint = "is a link", "pack the file itself"
    elif leads_out:
        reason, hint = "has a name that leads out of the archive", "pack it with a plain name"
    else:
        return
    raise DataError(f"a member of {name} {reason}", detail=info.filename, hint=hint)


SOURCE = ZipSource()
