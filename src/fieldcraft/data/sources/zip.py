"""ZIP archives: one table, several files with the same columns, or photos."""

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
from fieldcraft.data.concat import partition_tables, read_table_files
from fieldcraft.data.decompression import (
    corrupt_archive_error,
    read_decompressed,
    reject_decompression_bomb,
)
from fieldcraft.data.image_folder import image_table, is_image
from fieldcraft.data.location import SourceLocation, require_path
from fieldcraft.data.source import ReadResult

ENCRYPTED_FLAG = 1  # bit 0 of the general purpose flags (APPNOTE.TXT, 4.4.4)
# What zipfile raises for archives that are damaged, cut short or compressed in unknown ways.
ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, OSError, EOFError,
    NotImplementedError, UnicodeDecodeError,
)  # fmt: skip


class ZipSource:
    """Archives of tables or photos; nothing is written to disk."""

    name = "zip"
    address_forms = (".zip",)

    def can_read(self, location: SourceLocation) -> bool:
        """Return whether this is a .zip file; one inside another archive is not read."""
        return location.content is None and location.has_suffix(*self.address_forms)

    def read(self, location: SourceLocation, names: Sequence[str]) -> ReadResult:
        """Read the tables in the archive and concatenate their rows, or list the photos.

        Raises:
            DataError: the archive is missing, damaged, encrypted, a decompression bomb, or has
                names that lead out of it; it holds no table, or the columns differ.
        """
        require_path(location.path)
        try:
            with zipfile.ZipFile(location.path) as archive:
                tables, other_members = read_members(archive, location.name)
        except ZIP_ERRORS as error:
            raise corrupt_archive_error(location.name, error, "ZIP") from error
        other_names = [member.address for member in other_members]
        image_names = list(filter(is_image, other_names))
        if not tables and image_names:
            non_image_names = [name for name in other_names if not is_image(name)]
            return image_table(image_names, non_image_names, location.name)
        if not tables:
            raise DataError(
                f"no table in {location.name}",
                detail=f"it holds: {truncated_list(other_names) or 'nothing'}",
                hint="use an archive with a CSV, Parquet or JSON Lines file, or photos",
            )
        return read_table_files(tables, other_names, names, location.name)

    def digest(self, location: SourceLocation) -> str:
        """Return the digest of the archive."""
        return location.digest()


def read_members(
    archive: zipfile.ZipFile, name: str
) -> tuple[list[SourceLocation], list[SourceLocation]]:
    """Return the tables of an archive with their content, and its other members without.

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
            f"{name} holds two files of the same name",
            detail=truncated_list(duplicate_names, 3),
            hint="create the archive again, with each file once",
        )
    tables, other_members = partition_tables(
        [SourceLocation(path, b"", name) for path in infos if not is_hidden_member(path)]
    )
    table_infos = [infos[location.address] for location in tables]
    compressed_bytes = sum(info.compress_size for info in table_infos)
    # The sizes that the archive declares are checked before anything is unpacked; they may be
    # wrong, so `read_decompressed` counts the bytes as well.
    reject_decompression_bomb(sum(info.file_size for info in table_infos), compressed_bytes, name)
    # Only tables are decompressed: photos beside them may be large, and are not read.
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
    """Return whether a member was added by the system that created the archive."""
    return any(part == "__MACOSX" or part.startswith(".") for part in PurePosixPath(path).parts)


def reject_unsafe_member(info: zipfile.ZipInfo, name: str) -> None:
    """Check that a member is not encrypted, not a link, and stays inside the archive.

    Raises:
        DataError: it is encrypted, a link, or its name leads out of the archive.
    """
    path = PurePosixPath(info.filename.replace("\\", "/"))
    # The "Zip Slip" attack: absolute names, `..` and drive letters lead to other folders.
    leads_out = path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", info.filename)
    if info.flag_bits & ENCRYPTED_FLAG:
        reason, hint = "is encrypted", "unpack it with its password, and give the path of the table"
    elif stat.S_ISLNK(info.external_attr >> 16):
        reason, hint = "is a link", "archive the file itself"
    elif leads_out:
        reason, hint = "has a name that leads out of the archive", "archive it under a plain name"
    else:
        return
    raise DataError(f"a member of {name} {reason}", detail=info.filename, hint=hint)


SOURCE = ZipSource()
