"""Cells that refer to files, such as photos: resolve paths, read contents, compute digests.

A cell may be a path (relative to the folder of the table), the path of a member of a ZIP archive
(``photos.zip/cats/1.jpg``), an ``http(s)`` URL, or a ``data:`` URL with the content itself. Cells
that hold bytes become files first: see `fieldcraft.data.embedded_files`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import lzma
import os
import re
import struct
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Sequence
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path

import polars as pl

from fieldcraft.core import digest, files
from fieldcraft.core.errors import DataError
from fieldcraft.data.decompression import corrupt_archive_error
from fieldcraft.data.location import SourceLocation, root_folder

HTTP_PATTERN = re.compile(r"https?://", re.IGNORECASE)
DATA_URL_PATTERN = re.compile(r"data:[^,]{0,200},", re.IGNORECASE)
MAX_FILE_BYTES = 1 << 28  # 256 MB, of one file
HTTP_TIMEOUT_SECONDS = 30.0
# Of this process; mutable, as `allow_data_urls_only` changes it.
FILE_ACCESS = {"paths_and_urls": True}
# What zipfile raises for members that are damaged, cut short, encrypted (RuntimeError), or
# compressed in unknown ways (NotImplementedError).
MEMBER_ERRORS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, NotImplementedError, RuntimeError,
    EOFError,
)  # fmt: skip


def base_folder(source: str | Path) -> Path:
    """Return the folder or archive to which the paths in the cells of a table are relative."""
    location = SourceLocation(str(source))
    if location.scheme:
        return Path.cwd()
    if not location.is_file:
        return root_folder(location)
    return location.path if location.has_suffix(".zip") else location.path.parent


def resolve_paths(cells: pl.Series, base: Path) -> pl.Series:
    """Make relative paths in cells absolute.

    Args:
        cells: cells as read; a column that is not text is returned as it is.
        base: the folder or archive to which paths are relative; a path that is no member of the
            archive is relative to the folder of the archive.
    """
    if cells.dtype != pl.String:
        return cells
    absolute_base = base.absolute()
    members = (
        frozenset(archive_members(absolute_base)) if is_archive(absolute_base) else frozenset()
    )
    archive_folder = absolute_base.parent if is_archive(absolute_base) else absolute_base

    def resolve_cell(cell: str | None) -> str | None:
        if (
            not cell
            or HTTP_PATTERN.match(cell)
            or DATA_URL_PATTERN.match(cell)
            or os.path.isabs(cell)
        ):
            return cell
        name = cell.strip().replace("\\", "/").removeprefix("./")
        return f"{absolute_base if name in members else archive_folder}/{name}"

    return pl.Series(cells.name, [resolve_cell(cell) for cell in cells.to_list()], dtype=pl.String)


def allow_data_urls_only() -> None:
    """Refuse paths and http URLs in this process from now on; only ``data:`` URLs are read.

    A server must call this: otherwise requests could read its files or reach internal hosts
    (path traversal, server-side request forgery).
    """
    FILE_ACCESS["paths_and_urls"] = False


def read_content(address: str) -> bytes:
    """Return the bytes of the file at an address.

    Raises:
        DataError: there is none, it cannot be read, it is larger than 256 MB, or this process
            accepts ``data:`` URLs only.
    """
    if DATA_URL_PATTERN.match(address):
        return decode_data_url(address)
    if not FILE_ACCESS["paths_and_urls"]:
        raise unreadable_error(
            address, "paths and URLs of files are not accepted here; send data:...;base64,..."
        )
    if HTTP_PATTERN.match(address):
        return download(address)
    try:
        if os.path.isfile(address):
            if os.path.getsize(address) > MAX_FILE_BYTES:
                raise too_large_error(address)
            return Path(address).read_bytes()
        archive, member = split_archive_path(address)
        if archive is not None:
            return read_member(archive, member)
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        raise unreadable_error(address, str(error)) from error
    raise unreadable_error(address, "no such file")


def content_stamp(address: str) -> tuple[int, ...] | None:
    """Return size and modification time of the file at an address; None if it cannot be read."""
    if DATA_URL_PATTERN.match(address) or HTTP_PATTERN.match(address):
        return ()  # constant: the content is in the cell, or never downloaded again
    if not FILE_ACCESS["paths_and_urls"]:
        return None
    archive, _ = split_archive_path(address)
    try:
        return files.file_stamp(archive or address)
    except (OSError, ValueError):  # ValueError: a path with a null byte
        return None


def digest_contents(cells: pl.Series) -> pl.Series:
    """Replace each cell by the digest of its file, so that copies of a file are equal.

    A cell whose file cannot be read is unchanged.
    """

    def digest_cell(cell: str | None) -> str | None:
        if cell is None:
            return None
        try:
            return hashlib.blake2b(read_content(cell), digest_size=16).hexdigest()
        except DataError:
            return cell

    if cells.dtype != pl.String:
        return cells
    return pl.Series(cells.name, [digest_cell(cell) for cell in cells.to_list()], dtype=pl.String)


def is_archive(path: Path) -> bool:
    """Return whether a path is that of a ZIP archive."""
    return path.suffix.lower() == ".zip" and path.is_file()


def split_archive_path(address: str) -> tuple[str | None, str]:
    """Split an address into archive and member; (None, "") if it has no archive."""
    for match in re.finditer(r"\.zip/", address, re.IGNORECASE):
        archive, member = address[: match.end() - 1], address[match.end() :]
        if os.path.isfile(archive):
            return archive, member
    return None, ""


def archive_members(archive: Path) -> list[str]:
    """Return the names of all members of an archive.

    Raises:
        DataError: it is damaged.
    """
    return open_archive(str(archive), os.stat(archive).st_mtime_ns).namelist()


def read_member(archive: str, member: str) -> bytes:
    """Return the bytes of a member of an archive.

    Raises:
        DataError: there is no such member, it is damaged, encrypted or larger than 256 MB.
    """
    zip_file = open_archive(archive, os.stat(archive).st_mtime_ns)
    try:
        info = zip_file.getinfo(member)
        with zip_file.open(info) as stream:
            data = stream.read(MAX_FILE_BYTES + 1)  # one byte more shows that it is too large
    except KeyError:
        raise unreadable_error(f"{archive}/{member}", "the archive has no such member") from None
    except MEMBER_ERRORS as error:
        raise unreadable_error(f"{archive}/{member}", str(error)) from error
    if len(data) > MAX_FILE_BYTES:
        raise too_large_error(member)
    return data


# Cached: reading the directory of a large archive takes far longer than reading one member.
@lru_cache(maxsize=8)
def open_archive(archive: str, mtime_ns: int) -> zipfile.ZipFile:
    """Open an archive, whose members may be read from several threads.

    Args:
        archive: the path.
        mtime_ns: modification time, so that a changed archive is opened anew.

    Raises:
        DataError: it is damaged.
    """
    try:
        return zipfile.ZipFile(archive)
    except (*MEMBER_ERRORS, OSError, ValueError) as error:
        raise corrupt_archive_error(Path(archive).name, error, "ZIP") from error


def decode_data_url(address: str) -> bytes:
    """Return the content of a ``data:`` URL (RFC 2397).

    Raises:
        DataError: the URL is malformed.
    """
    media_type, _, body = address.partition(",")
    try:
        if media_type.lower().endswith(";base64"):
            return base64.b64decode(urllib.parse.unquote(body), validate=True)
        return urllib.parse.unquote_to_bytes(body)
    except (binascii.Error, ValueError) as error:
        raise unreadable_error(f"{address[:40]}...", str(error)) from error


def download(address: str) -> bytes:
    """Return the content at an http URL, from the cache after the first time.

    Raises:
        DataError: the server cannot be reached, refuses, or sends more than 256 MB.
    """
    cached_path = files.cache_folder() / "files" / digest.of_bytes(address.encode())
    if cached_path.is_file():
        return cached_path.read_bytes()
    try:
        # The caller has matched HTTP_PATTERN: urlopen would also open file: and ftp: URLs.
        with urllib.request.urlopen(address, timeout=HTTP_TIMEOUT_SECONDS) as response:
            data: bytes = response.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError, HTTPException) as error:
        raise unreadable_error(address, str(error)) from error
    if len(data) > MAX_FILE_BYTES:
        raise too_large_error(address)
    files.atomic_write_bytes(cached_path, data)
    return data


def unreadable_error(address: str, reason: str) -> DataError:
    """Return the error for a file that cannot be read."""
    return DataError(
        f"the file of a cell cannot be read: {address[-80:]}",
        detail=reason[:200],
        hint="make sure that it exists and is complete; paths are relative to the table's folder",
    )


def too_large_error(address: str) -> DataError:
    """Return the error for a file that is too large."""
    return DataError(
        f"the file of a cell is too large: {address[-80:]}",
        detail=f"more than {MAX_FILE_BYTES:,} bytes",
        hint="use a smaller copy of it",
    )


def resolve_file_columns(frame: pl.DataFrame, names: Sequence[str], base: Path) -> pl.DataFrame:
    """Make the paths in file columns of a frame absolute.

    Args:
        frame: cells as read.
        names: the file columns; missing ones are ignored.
        base: the folder or archive to which paths are relative, see `base_folder`.
    """
    present_columns = [name for name in names if name in frame.columns]
    return frame.with_columns([resolve_paths(frame[name], base) for name in present_columns])
