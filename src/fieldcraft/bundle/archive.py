"""A bundle as one .zip file: reproducible when packed, untrusted input when unpacked."""

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
ENTRY_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest of the zip format; any fixed one would do
PATH_PART_PATTERN = r"[A-Za-z0-9_](?:[A-Za-z0-9_ .-]*[A-Za-z0-9_-])?"
# No "..", no root, no drive, no backslash, and nothing that Windows would strip or rename.
SAFE_PATH = re.compile(f"{PATH_PART_PATTERN}(?:/{PATH_PART_PATTERN})*")
MAX_NAME_LENGTH = 200  # characters
# Bits 0, 6 and 13 of an entry's flags (PKWARE APPNOTE 4.4.4): encrypted, strong encryption, and
# masked values in the central directory.
ENCRYPTION_FLAGS = 0x2041
ALLOWED_COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
MAX_ENTRIES = 10_000
MAX_UNPACKED_BYTES = 8 << 30  # of all files together
# Against zip bombs, as deflate can pack 1,000 to 1. A small archive is allowed the fixed minimum,
# which is harmless: the JSON of a small model packs well.
MIN_UNPACKED_LIMIT_BYTES = 64 << 20
MAX_COMPRESSION_RATIO = 100  # unpacked to packed bytes, beyond that minimum
READ_BLOCK_BYTES = 1 << 20
ARCHIVE_ERRORS = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError,
    NotImplementedError, RuntimeError,
)  # fmt: skip


def pack_bundle(folder: Path, path: Path) -> None:
    """Write a bundle's folder as one file; the same folder always gives the same bytes.

    Raises:
        BundleError: the folder is not a valid bundle.
    """
    names = sorted([MANIFEST_FILE, *read_manifest(folder)["files"]])
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, so that the rename stays within one file system and is atomic: a crash
    # leaves the old archive or the new one, never a part of it under the final name.
    with TemporaryDirectory(prefix=".fieldcraft-", dir=path.parent) as temporary_folder:
        temporary_path = Path(temporary_folder) / path.name
        with zipfile.ZipFile(temporary_path, "w") as archive:
            for name in names:
                check_safe_path(name)
                entry = zipfile.ZipInfo(name, ENTRY_DATE)
                entry.create_system = 3  # always Unix, or the bytes would depend on the system
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                archive.writestr(entry, (folder / name).read_bytes())
        # Content first, then the name, then the folder: after a power loss a name must not point
        # to content that was never written.
        files.fsync_path(temporary_path)
        temporary_path.replace(path)
    files.fsync_path(path.parent)


@contextmanager
def unpacked_bundle(path: Path) -> Iterator[Path]:
    """A temporary folder with the files of an archive, deleted at the end of the block.

    Only the archive is checked here; `read_manifest` checks whether the files are a bundle.

    Raises:
        BundleError: it is not an archive, is damaged, or has entries that no bundle has.
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
        archive_bytes: size of the archive, which limits the size of its content.

    Raises:
        BundleError: an entry has a name, a type or a size that no bundle has.
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
                # Counted while unpacking: the sizes that an archive states may be wrong.
                bytes_left -= len(block)
                if bytes_left < 0:
                    raise untrusted_archive_error(
                        entry.orig_filename, f"it unpacks to more than {max_bytes:,} bytes"
                    )
                target_file.write(block)


def check_entries(entries: Sequence[zipfile.ZipInfo]) -> None:
    """Check that an archive lists regular files under safe names, none twice.

    Raises:
        BundleError: it does not.
    """
    if len(entries) > MAX_ENTRIES:
        raise untrusted_archive_error(
            "too many entries", pluralize(len(entries), "entry", "entries")
        )
    names = [entry.orig_filename for entry in entries if not entry.is_dir()]
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents} - {".", "/"}
    for entry in entries:
        check_entry(entry, folders)
    if MANIFEST_FILE not in names:
        raise untrusted_archive_error(
            "no manifest", f"no {MANIFEST_FILE} at the top, but {', '.join(names[:3]) or 'none'}"
        )
    # On Windows and macOS two names that differ only in case are one file.
    names_by_lowercase: dict[str, str] = {}
    for name in [*names, *folders]:
        if name.lower() in names_by_lowercase:
            raise untrusted_archive_error(
                name, f"the same name as {names_by_lowercase[name.lower()]}"
            )
        names_by_lowercase[name.lower()] = name


def check_entry(entry: zipfile.ZipInfo, folders: set[str]) -> None:
    """Check that an entry is a regular file, or a folder that contains one.

    Raises:
        BundleError: it is not.
    """
    name = entry.orig_filename
    check_safe_path(name.removesuffix("/"))
    file_type = stat.S_IFMT(entry.external_attr >> 16)
    if file_type not in (0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG):
        raise untrusted_archive_error(
            name, "a link, a device or something else that is not a regular file"
        )
    if entry.is_dir() and name.removesuffix("/") not in folders:
        raise untrusted_archive_error(name, "a folder without files")
    if entry.flag_bits & ENCRYPTION_FLAGS or entry.compress_type not in ALLOWED_COMPRESSION:
        raise untrusted_archive_error(name, "encrypted, or compressed with an unsupported method")


def check_safe_path(name: str) -> None:
    """Check that a name stays within its folder on every operating system.

    Raises:
        BundleError: it may point elsewhere.
    """
    if len(name) > MAX_NAME_LENGTH or not SAFE_PATH.fullmatch(name):
        raise untrusted_archive_error(
            repr(name[:MAX_NAME_LENGTH]), "a name that may point outside the bundle's folder"
        )


def untrusted_archive_error(name: str, reason: str) -> BundleError:
    """The error for an archive that `pack_bundle` did not write."""
    return BundleError(
        f"the bundle's archive cannot be trusted: {name}",
        detail=reason,
        hint="use an untouched copy of the archive, or pack the files of a bundle's folder "
        "without a folder around them",
    )
