"""Cells that name files, such as photos: where these are, what is in them, what tells them apart.

A cell may hold a path (relative ones start at the table's own folder), the path of a member of a
ZIP archive (``photos.zip/cats/1.jpg``), an ``http(s)`` address, or a ``data:`` address that holds
the content itself. What cells hold as bytes is made a file first: see `data.blobs`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
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
from fieldcraft.data.location import SourceLocation, root_folder

HTTP_PATTERN = re.compile(r"https?://", re.IGNORECASE)
DATA_URL_PATTERN = re.compile(r"data:[^,]{0,200},", re.IGNORECASE)
MAX_FILE_BYTES = 1 << 28  # of one file
HTTP_TIMEOUT_SECONDS = 30.0  # that a server may take to answer
ACCESS = {"outside": True}  # of this process: see `stay_inside`
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError)


def base_folder(source: str | Path) -> Path:
    """The folder, or the archive, that the paths in a table's cells start from."""
    location = SourceLocation(str(source))
    if location.scheme:
        return Path.cwd()
    if not location.is_file:
        return root_folder(location)
    return location.path if location.has_suffix(".zip") else location.path.parent


def resolve_paths(cells: pl.Series, base: Path) -> pl.Series:
    """Cells with relative paths made whole.

    Args:
        cells: as read; what is no text is left alone.
        base: the folder or archive that paths start from; where an archive has no such member,
            paths start from the folder that it lies in.
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
    """Follow no address from now on, but for those that carry the content themselves.

    For a process that answers strangers: they could name its own files, or other machines' pages.
    """
    ACCESS["outside"] = False


def read_content(address: str) -> bytes:
    """The bytes of the file that an address leads to.

    Raises:
        DataError: there is none, it cannot be read, it is larger than 256 MB, or this process
            follows no addresses.
    """
    if DATA_URL_PATTERN.match(address):
        return decode_data_url(address)
    if not ACCESS["outside"]:
        raise unreadable_error(
            address, "addresses of files are not followed here; send data:...;base64,..."
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
    """What changes with the file at an address; None where only its content would tell."""
    if DATA_URL_PATTERN.match(address) or HTTP_PATTERN.match(address):
        return ()
    if not ACCESS["outside"]:
        return None
    archive, _ = split_archive_path(address)
    try:
        stat = os.stat(archive or address)
    except (OSError, ValueError):
        return None
    return stat.st_size, stat.st_mtime_ns


def digest_contents(cells: pl.Series) -> pl.Series:
    """Each cell as the digest of its file, so that two copies of a file are told to be the same.

    A cell without a file that can be read stays as it is.
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
    """Whether a path is that of an archive of files."""
    return path.suffix.lower() == ".zip" and path.is_file()


def split_archive_path(address: str) -> tuple[str | None, str]:
    """The archive on the way of an address and the name of the member; (None, "") without one."""
    for match in re.finditer(r"\.zip/", address, re.IGNORECASE):
        archive, member = address[: match.end() - 1], address[match.end() :]
        if os.path.isfile(archive):
            return archive, member
    return None, ""


def archive_members(archive: Path) -> list[str]:
    """The names of all members of an archive.

    Raises:
        DataError: it is damaged.
    """
    return open_archive(str(archive), os.stat(archive).st_mtime_ns).namelist()


def read_member(archive: str, member: str) -> bytes:
    """The bytes of a member of an archive.

    Raises:
        DataError: there is no such member, it is damaged, encrypted or larger than 256 MB.
    """
    zip_file = open_archive(archive, os.stat(archive).st_mtime_ns)
    try:
        info = zip_file.getinfo(member)
        with zip_file.open(info) as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except KeyError:
        raise unreadable_error(f"{archive}/{member}", "the archive has no such member") from None
    except ZIP_ERRORS as error:
        raise unreadable_error(f"{archive}/{member}", str(error)) from error
    if len(data) > MAX_FILE_BYTES:
        raise too_large_error(member)
    return data


@lru_cache(maxsize=8)
def open_archive(archive: str, mtime_ns: int) -> zipfile.ZipFile:
    """An archive ready to be read; its members may be read from several threads.

    Args:
        archive: its path.
        mtime_ns: when; so that a new archive of the same name is opened anew.

    Raises:
        DataError: it is damaged.
    """
    try:
        return zipfile.ZipFile(archive)
    except (*ZIP_ERRORS, OSError, ValueError) as error:
        raise DataError(
            f"{Path(archive).name} cannot be unpacked",
            detail=str(error),
            hint="use a ZIP file that is whole; copy or download it again",
        ) from error


def decode_data_url(address: str) -> bytes:
    """The content that a ``data:`` address holds.

    Raises:
        DataError: it is not written as such addresses are (RFC 2397).
    """
    media_type, _, body = address.partition(",")
    try:
        if media_type.lower().endswith(";base64"):
            return base64.b64decode(urllib.parse.unquote(body), validate=True)
        return urllib.parse.unquote_to_bytes(body)
    except (binascii.Error, ValueError) as error:
        raise unreadable_error(f"{address[:40]}...", str(error)) from error


def download(address: str) -> bytes:
    """The content at an http address, which is kept: a second call asks no server.

    Raises:
        DataError: the server cannot be reached, refuses, or sends more than 256 MB.
    """
    cached_path = files.cache_folder() / "files" / digest.of_bytes(address.encode())
    if cached_path.is_file():
        return cached_path.read_bytes()
    try:
        with urllib.request.urlopen(
            address, timeout=HTTP_TIMEOUT_SECONDS
        ) as response:  # http(s) only: REMOTE
            data: bytes = response.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError, HTTPException) as error:
        raise unreadable_error(address, str(error)) from error
    if len(data) > MAX_FILE_BYTES:
        raise too_large_error(address)
    files.atomic_write_bytes(cached_path, data)
    return data


def unreadable_error(address: str, reason: str) -> DataError:
    """The error for a file that cannot be read."""
    return DataError(
        f"a file that a cell names cannot be read: {address[-80:]}",
        detail=reason[:200],
        hint="make sure that it is there and whole; paths start at the table's own folder",
    )


def too_large_error(address: str) -> DataError:
    """The error for a file of more bytes than are read."""
    return DataError(
        f"a file that a cell names is too large: {address[-80:]}",
        detail=f"more than {MAX_FILE_BYTES:,} bytes",
        hint="use a smaller copy of it",
    )


def resolve_file_columns(frame: pl.DataFrame, names: Sequence[str], base: Path) -> pl.DataFrame:
    """A frame whose columns of file names hold whole addresses.

    Args:
        frame: cells as read.
        names: the columns that name files; those that are not there are passed over.
        base: see `base_of`.
    """
    present_columns = [name for name in names if name in frame.columns]
    return frame.with_columns([resolve_paths(frame[name], base) for name in present_columns])
