"""A bundle as one .zip file: packed the same each time, unpacked with distrust."""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from fieldcraft.bundle.manifest import MANIFEST_FILE, read_manifest
from fieldcraft.core import files
from fieldcraft.core.errors import BundleError
from fieldcraft.core.formatting import pluralize

ARCHIVE_SUFFIX = ".zip"
ENTRY_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip file can state
PATH_PART_PATTERN = r"[A-Za-z0-9_](?:[A-Za-z0-9_ .-]*[A-Za-z0-9_-])?"
SAFE_PATH = re.compile(
    f"{PATH_PART_PATTERN}(?:/{PATH_PART_PATTERN})*"
)  # no "..", no root, no drive, no backslash
MAX_NAME_LENGTH = 200  # characters of a name
ENCRYPTION_FLAGS = 0x2041  # flags of an entry: encrypted, strongly, and its directory
ALLOWED_COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
MAX_ENTRIES = 10_000
MAX_UNPACKED_BYTES = 8 << 30  # of all files together
MIN_UNPACKED_LIMIT_BYTES = 64 << 20  # of them, however small the archive is
MAX_COMPRESSION_RATIO = 100  # of unpacked to packed bytes beyond that
READ_BLOCK_BYTES = 1 << 20
ARCHIVE_ERRORS = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError,
    NotImplementedError, RuntimeError,
)  # fmt: skip


def pack_bundle(folder: Path, path: Path) -> None:
    """Write a bundle's folder as one file; the same folder always gives the same bytes.

    Raises:
        BundleError: the folder holds no bundle that can be trusted.
    """
    names = sorted([MANIFEST_FILE, *read_manifest(folder)["files"]])
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".fieldcraft-", dir=path.parent) as temporary_folder:
        temporary_path = Path(temporary_folder) / path.name
        with zipfile.ZipFile(temporary_path, "w") as archive:
            for name in names:
                check_safe_path(name)
                entry = zipfile.ZipInfo(name, ENTRY_DATE)
                entry.create_system = 3  # Unix, wherever this runs
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                archive.writestr(entry, (folder / name).read_bytes())
        files.fsync_path(temporary_path)
        temporary_path.replace(path)
    files.fsync_path(path.parent)


@contextmanager
def unpacked_bundle(path: Path) -> Iterator[Path]:
    """A fresh folder with the files of an archive; it is gone when the block ends.

    Only the archive is distrusted here; whether the files are a bundle is for the manifest to say.

    Raises:
        BundleError: it is no archive, is damaged, or holds what no bundle holds.
    """
    with TemporaryDirectory(prefix="fieldcraft-") as temporary_folder:
        try:
            with zipfile.ZipFile(path) as archive:
                extract_safely(archive, Path(temporary_folder), path.stat().st_size)
        except ARCHIVE_ERRORS as error:
            raise untrusted_archive_error(
                path.name, f"{type(error).__name__}: {error}"[:200]
            ) from error
        yield Path(temporary_folder)


def extract_safely(archive: zipfile.ZipFile, folder: Path, archive_bytes: int) -> None:
    """Write the files of an archive into a folder.

    Args:
        archive: open to read.
        folder: empty.
        archive_bytes: bytes of the archive, which limit what may come out of it.

    Raises:
        BundleError: a name, a kind of entry or an amount that no bundle has.
    """
    entries = archive.infolist()
    check_entries(entries)
    max_bytes = min(
        MAX_UNPACKED_BYTES, max(MIN_UNPACKED_LIMIT_BYTES, MAX_COMPRESSION_RATIO * archive_bytes)
    )
    bytes_left = max_bytes
    for entry in entries:
        if entry.is_dir():
            continue
        target = folder / entry.orig_filename
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, target.open("xb") as target_file:
            while block := source.read(READ_BLOCK_BYTES):
                bytes_left -= len(block)  # counted here, for an archive may lie about its sizes
                if bytes_left < 0:
                    raise untrusted_archive_error(
                        entry.orig_filename, f"more than {max_bytes:,} bytes come out"
                    )
                target_file.write(block)


def check_entries(entries: Sequence[zipfile.ZipInfo]) -> None:
    """Make sure that an archive lists plain files under plain names, none twice.

    Raises:
        BundleError: it does not.
    """
    if len(entries) > MAX_ENTRIES:
        raise untrusted_archive_error("too much", pluralize(len(entries), "entry", "entries"))
    names = [entry.orig_filename for entry in entries if not entry.is_dir()]
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents} - {".", "/"}
    for entry in entries:
        check_entry(entry, folders)
    if MANIFEST_FILE not in names:
        raise untrusted_archive_error(
            "no manifest", f"no {MANIFEST_FILE} at the top, but {', '.join(names[:3]) or 'none'}"
        )
    names_by_lowercase: dict[str, str] = {}
    for name in [*names, *folders]:
        if name.lower() in names_by_lowercase:
            raise untrusted_archive_error(
                name, f"the same name as {names_by_lowercase[name.lower()]}"
            )
        names_by_lowercase[name.lower()] = name


def check_entry(entry: zipfile.ZipInfo, folders: set[str]) -> None:
    """Make sure that an entry is a plain file, or a folder of one.

    Raises:
        BundleError: it is not.
    """
    name = entry.orig_filename
    check_safe_path(name.removesuffix("/"))
    file_type = stat.S_IFMT(entry.external_attr >> 16)
    if file_type not in (0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG):
        raise untrusted_archive_error(
            name, "a link, a device or another thing that is not a plain file"
        )
    if entry.is_dir() and name.removesuffix("/") not in folders:
        raise untrusted_archive_error(name, "a folder without files")
    if entry.flag_bits & ENCRYPTION_FLAGS or entry.compress_type not in ALLOWED_COMPRESSION:
        raise untrusted_archive_error(name, "encrypted, or packed in an unusual way")


def check_safe_path(name: str) -> None:
    """Make sure that a name stays within its folder, on every system.

    Raises:
        BundleError: it may not.
    """
    if len(name) > MAX_NAME_LENGTH or not SAFE_PATH.fullmatch(name):
        raise untrusted_archive_error(
            repr(name[:MAX_NAME_LENGTH]), "a name that may lead out of the bundle's folder"
        )


def untrusted_archive_error(name: str, reason: str) -> BundleError:
    """The error for an archive that is not what `pack` writes."""
    return BundleError(
        f"the bundle's archive cannot be trusted: {name}",
        detail=reason,
        hint="use an untouched copy of the archive, or pack the files of a bundle's folder "
        "without a folder around them",
    )
