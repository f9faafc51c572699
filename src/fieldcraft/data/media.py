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
from fieldcraft.data.place import Place, root_of

REMOTE = re.compile(r"https?://", re.IGNORECASE)
CARRIED = re.compile(r"data:[^,]{0,200},", re.IGNORECASE)
MOST_BYTES = 1 << 28  # of one file
SECONDS = 30.0  # that a server may take to answer
REACH = {"outside": True}  # of this process: see `stay_inside`
DAMAGE = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError)


def base_of(source: str | Path) -> Path:
    """The folder, or the archive, that the paths in a table's cells start from."""
    place = Place(str(source))
    if place.scheme:
        return Path.cwd()
    if not place.is_file:
        return root_of(place)
    return place.path if place.ends(".zip") else place.path.parent


def addressed(cells: pl.Series, base: Path) -> pl.Series:
    """Cells with relative paths made whole.

    Args:
        cells: as read; what is no text is left alone.
        base: the folder or archive that paths start from; where an archive has no such member,
            paths start from the folder that it lies in.
    """
    if cells.dtype != pl.String:
        return cells
    root = base.absolute()
    members = frozenset(members_of(root)) if is_archive(root) else frozenset()
    beside = root.parent if is_archive(root) else root

    def whole(cell: str | None) -> str | None:
        if not cell or REMOTE.match(cell) or CARRIED.match(cell) or os.path.isabs(cell):
            return cell
        name = cell.strip().replace("\\", "/").removeprefix("./")
        return f"{root if name in members else beside}/{name}"

    return pl.Series(cells.name, [whole(cell) for cell in cells.to_list()], dtype=pl.String)


def stay_inside() -> None:
    """Follow no address from now on, but for those that carry the content themselves.

    For a process that answers strangers: they could name its own files, or other machines' pages.
    """
    REACH["outside"] = False


def content(address: str) -> bytes:
    """The bytes of the file that an address leads to.

    Raises:
        DataError: there is none, it cannot be read, it is larger than 256 MB, or this process
            follows no addresses.
    """
    if CARRIED.match(address):
        return carried(address)
    if not REACH["outside"]:
        raise unread(address, "addresses of files are not followed here; send data:...;base64,...")
    if REMOTE.match(address):
        return fetched(address)
    try:
        if os.path.isfile(address):
            if os.path.getsize(address) > MOST_BYTES:
                raise too_large(address)
            return Path(address).read_bytes()
        archive, member = within(address)
        if archive is not None:
            return packed(archive, member)
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        raise unread(address, str(error)) from error
    raise unread(address, "no such file")


def stamp(address: str) -> tuple[int, ...] | None:
    """What changes with the file at an address; None where only its content would tell."""
    if CARRIED.match(address) or REMOTE.match(address):
        return ()
    if not REACH["outside"]:
        return None
    archive, _ = within(address)
    try:
        found = os.stat(archive or address)
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns


def contents_digested(cells: pl.Series) -> pl.Series:
    """Each cell as the digest of its file, so that two copies of a file are told to be the same.

    A cell without a file that can be read stays as it is.
    """

    def told(cell: str | None) -> str | None:
        if cell is None:
            return None
        try:
            return hashlib.blake2b(content(cell), digest_size=16).hexdigest()
        except DataError:
            return cell

    if cells.dtype != pl.String:
        return cells
    return pl.Series(cells.name, [told(cell) for cell in cells.to_list()], dtype=pl.String)


def is_archive(path: Path) -> bool:
    """Whether a path is that of an archive of files."""
    return path.suffix.lower() == ".zip" and path.is_file()


def within(address: str) -> tuple[str | None, str]:
    """The archive on the way of an address and the name of the member; (None, "") without one."""
    for found in re.finditer(r"\.zip/", address, re.IGNORECASE):
        archive, member = address[: found.end() - 1], address[found.end() :]
        if os.path.isfile(archive):
            return archive, member
    return None, ""


def members_of(archive: Path) -> list[str]:
    """The names of all members of an archive.

    Raises:
        DataError: it is damaged.
    """
    return opened(str(archive), os.stat(archive).st_mtime_ns).namelist()


def packed(archive: str, member: str) -> bytes:
    """The bytes of a member of an archive.

    Raises:
        DataError: there is no such member, it is damaged, encrypted or larger than 256 MB.
    """
    source = opened(archive, os.stat(archive).st_mtime_ns)
    try:
        info = source.getinfo(member)
        with source.open(info) as stream:
            data = stream.read(MOST_BYTES + 1)
    except KeyError:
        raise unread(f"{archive}/{member}", "the archive has no such member") from None
    except DAMAGE as error:
        raise unread(f"{archive}/{member}", str(error)) from error
    if len(data) > MOST_BYTES:
        raise too_large(member)
    return data


@lru_cache(maxsize=8)
def opened(archive: str, changed: int) -> zipfile.ZipFile:
    """An archive ready to be read; its members may be read from several threads.

    Args:
        archive: its path.
        changed: when; so that a new archive of the same name is opened anew.

    Raises:
        DataError: it is damaged.
    """
    try:
        return zipfile.ZipFile(archive)
    except (*DAMAGE, OSError, ValueError) as error:
        raise DataError(
            f"{Path(archive).name} cannot be unpacked",
            seen=str(error),
            way_out="use a ZIP file that is whole; copy or download it again",
        ) from error


def carried(address: str) -> bytes:
    """The content that a ``data:`` address holds.

    Raises:
        DataError: it is not written as such addresses are (RFC 2397).
    """
    head, _, body = address.partition(",")
    try:
        if head.lower().endswith(";base64"):
            return base64.b64decode(urllib.parse.unquote(body), validate=True)
        return urllib.parse.unquote_to_bytes(body)
    except (binascii.Error, ValueError) as error:
        raise unread(f"{address[:40]}...", str(error)) from error


def fetched(address: str) -> bytes:
    """The content at an http address, which is kept: a second call asks no server.

    Raises:
        DataError: the server cannot be reached, refuses, or sends more than 256 MB.
    """
    kept = files.cache_folder() / "files" / digest.of_bytes(address.encode())
    if kept.is_file():
        return kept.read_bytes()
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:  # http(s) only: REMOTE
            data: bytes = answer.read(MOST_BYTES + 1)
    except (OSError, ValueError, HTTPException) as error:
        raise unread(address, str(error)) from error
    if len(data) > MOST_BYTES:
        raise too_large(address)
    files.write_bytes(kept, data)
    return data


def unread(address: str, why: str) -> DataError:
    """The error for a file that cannot be read."""
    return DataError(
        f"a file that a cell names cannot be read: {address[-80:]}",
        seen=why[:200],
        way_out="make sure that it is there and whole; paths start at the table's own folder",
    )


def too_large(address: str) -> DataError:
    """The error for a file of more bytes than are read."""
    return DataError(
        f"a file that a cell names is too large: {address[-80:]}",
        seen=f"more than {MOST_BYTES:,} bytes",
        way_out="use a smaller copy of it",
    )


def named_in(frame: pl.DataFrame, names: Sequence[str], base: Path) -> pl.DataFrame:
    """A frame whose columns of file names hold whole addresses.

    Args:
        frame: cells as read.
        names: the columns that name files; those that are not there are passed over.
        base: see `base_of`.
    """
    there = [name for name in names if name in frame.columns]
    return frame.with_columns([addressed(frame[name], base) for name in there])
