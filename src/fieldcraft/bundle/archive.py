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

from fieldcraft.bundle.manifest import NAME, read_manifest
from fieldcraft.core import files
from fieldcraft.core.errors import BundleError
from fieldcraft.core.words import plural

SUFFIX = ".zip"
MOMENT = (1980, 1, 1, 0, 0, 0)  # the first that a zip file can state
PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_ .-]*[A-Za-z0-9_-])?"
PLAIN = re.compile(f"{PART}(?:/{PART})*")  # no "..", no root, no drive, no backslash
LONGEST = 200  # characters of a name
ENCRYPTED = 0x2041  # flags of an entry: encrypted, strongly, and its directory
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
MOST_FILES = 10_000
MOST_BYTES = 8 << 30  # of all files together
FREE_BYTES = 64 << 20  # of them, however small the archive is
RATIO = 100  # of unpacked to packed bytes beyond that
BLOCK = 1 << 20
DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError,
    NotImplementedError, RuntimeError,
)  # fmt: skip


def pack(folder: Path, path: Path) -> None:
    """Write a bundle's folder as one file; the same folder always gives the same bytes.

    Raises:
        BundleError: the folder holds no bundle that can be trusted.
    """
    names = sorted([NAME, *read_manifest(folder)["files"]])
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".fieldcraft-", dir=path.parent) as place:
        aside = Path(place) / path.name
        with zipfile.ZipFile(aside, "w") as archive:
            for name in names:
                must_be_plain(name)
                entry = zipfile.ZipInfo(name, MOMENT)
                entry.create_system = 3  # Unix, wherever this runs
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                archive.writestr(entry, (folder / name).read_bytes())
        files.sync(aside)
        aside.replace(path)
    files.sync(path.parent)


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """A fresh folder with the files of an archive; it is gone when the block ends.

    Only the archive is distrusted here; whether the files are a bundle is for the manifest to say.

    Raises:
        BundleError: it is no archive, is damaged, or holds what no bundle holds.
    """
    with TemporaryDirectory(prefix="fieldcraft-") as place:
        try:
            with zipfile.ZipFile(path) as archive:
                unpack(archive, Path(place), path.stat().st_size)
        except DAMAGE as error:
            raise refused(path.name, f"{type(error).__name__}: {error}"[:200]) from error
        yield Path(place)


def unpack(archive: zipfile.ZipFile, folder: Path, packed: int) -> None:
    """Write the files of an archive into a folder.

    Args:
        archive: open to read.
        folder: empty.
        packed: bytes of the archive, which limit what may come out of it.

    Raises:
        BundleError: a name, a kind of entry or an amount that no bundle has.
    """
    entries = archive.infolist()
    check_entries(entries)
    allowed = min(MOST_BYTES, max(FREE_BYTES, RATIO * packed))
    left = allowed
    for entry in entries:
        if entry.is_dir():
            continue
        target = folder / entry.orig_filename
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, target.open("xb") as stream:
            while block := source.read(BLOCK):
                left -= len(block)  # counted here, for an archive may lie about its sizes
                if left < 0:
                    raise refused(entry.orig_filename, f"more than {allowed:,} bytes come out")
                stream.write(block)


def check_entries(entries: Sequence[zipfile.ZipInfo]) -> None:
    """Make sure that an archive lists plain files under plain names, none twice.

    Raises:
        BundleError: it does not.
    """
    if len(entries) > MOST_FILES:
        raise refused("too much", plural(len(entries), "entry", "entries"))
    names = [entry.orig_filename for entry in entries if not entry.is_dir()]
    folders = {str(up) for name in names for up in PurePosixPath(name).parents} - {".", "/"}
    for entry in entries:
        check_entry(entry, folders)
    if NAME not in names:
        raise refused("no manifest", f"no {NAME} at the top, but {', '.join(names[:3]) or 'none'}")
    spelt: dict[str, str] = {}
    for name in [*names, *folders]:
        if name.lower() in spelt:
            raise refused(name, f"the same name as {spelt[name.lower()]}")
        spelt[name.lower()] = name


def check_entry(entry: zipfile.ZipInfo, folders: set[str]) -> None:
    """Make sure that an entry is a plain file, or a folder of one.

    Raises:
        BundleError: it is not.
    """
    name = entry.orig_filename
    must_be_plain(name.removesuffix("/"))
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG):
        raise refused(name, "a link, a device or another thing that is not a plain file")
    if entry.is_dir() and name.removesuffix("/") not in folders:
        raise refused(name, "a folder without files")
    if entry.flag_bits & ENCRYPTED or entry.compress_type not in METHODS:
        raise refused(name, "encrypted, or packed in an unusual way")


def must_be_plain(name: str) -> None:
    """Make sure that a name stays within its folder, on every system.

    Raises:
        BundleError: it may not.
    """
    if len(name) > LONGEST or not PLAIN.fullmatch(name):
        raise refused(repr(name[:LONGEST]), "a name that may lead out of the bundle's folder")


def refused(name: str, how: str) -> BundleError:
    """The error for an archive that is not what `pack` writes."""
    return BundleError(
        f"the bundle's archive cannot be trusted: {name}",
        seen=how,
        way_out="use an untouched copy of the archive, or pack the files of a bundle's folder "
        "without a folder around them",
    )
