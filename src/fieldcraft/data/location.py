"""Locations of tables: a file, a folder, a glob pattern, a URL, or a member of an archive."""

from __future__ import annotations

import difflib
import glob
import os
import re
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from fieldcraft.core import digest
from fieldcraft.core.errors import DataError, did_you_mean
from fieldcraft.data.decompression import decompress_gzip, is_gzip

URL_PATTERN = re.compile(r"([a-z][a-z0-9+.-]+)://")
# A literal character as written by `glob.escape`.
ESCAPED_GLOB_PATTERN = re.compile(r"\[([\[*?])\]")
# Scheme, path of the file, and parameters.
FILE_URL_PATTERN = re.compile(r"([a-z][a-z0-9+.-]+:///)([^?]*)(.*)", re.DOTALL)


@dataclass(frozen=True)
class SourceLocation:
    """The location of a table.

    Args:
        address: the path of a file or folder, a pattern such as ``data/*.csv``, or a URL.
        content: the bytes of an archive member; the address is then its name.
        archive_name: the archive of the member, for messages.
    """

    address: str
    content: bytes | None = None
    archive_name: str = ""

    @property
    def path(self) -> Path:
        """The address as a path."""
        return Path(self.address)

    @property
    def name(self) -> str:
        """The name used in messages."""
        return f"{self.path.name} in {self.archive_name}" if self.archive_name else self.path.name

    @property
    def scheme(self) -> str:
        """The scheme of a URL; empty for other locations."""
        match = URL_PATTERN.match(self.address) if self.content is None else None
        return match[1] if match else ""

    @property
    def is_pattern(self) -> bool:
        """Whether this is a glob pattern; an existing file of such a name is a file."""
        if self.content is not None or self.scheme:
            return False
        return glob.has_magic(self.address) and not os.path.exists(self.address)

    @property
    def is_file(self) -> bool:
        """Whether this is one file, existing or not, or a member of an archive."""
        if self.content is not None:
            return True
        return not (self.scheme or self.is_pattern or os.path.isdir(self.address))

    def has_suffix(self, *suffixes: str) -> bool:
        """Return whether this is a file with one of these extensions, with or without ``.gz``."""
        return self.is_file and self.suffix in suffixes

    @property
    def suffix(self) -> str:
        """The extension in lower case, without ``.gz``."""
        return Path(self.path.name.lower().removesuffix(".gz")).suffix

    def raw_bytes(self) -> bytes:
        """Return the stored bytes, not decompressed.

        Raises:
            DataError: there is no such file, or it cannot be opened.
        """
        if self.content is not None:
            return self.content
        require_path(self.path)
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise unopenable_error(self.path, error) from error

    def read_bytes(self) -> bytes:
        """Return the bytes, decompressed if they are gzipped.

        Raises:
            DataError: there is no such file, or the archive is damaged or a decompression bomb.
        """
        data = self.raw_bytes()
        # The content decides, not the name: browsers and servers may unpack .gz files and keep .gz.
        return decompress_gzip(data, self.name) if is_gzip(data) else data

    def digest(self) -> str:
        """Return the digest of the stored file.

        Raises:
            DataError: there is no such file, or it cannot be opened.
        """
        require_path(self.path)
        try:
            return digest.of_file(self.path)
        except OSError as error:
            raise unopenable_error(self.path, error) from error


def root_folder(location: SourceLocation) -> Path:
    """Return the folder that names of files are relative to."""
    if not location.is_pattern:
        return location.path
    parts = location.path.parts
    fixed_parts = takewhile(
        lambda part: not glob.has_magic(ESCAPED_GLOB_PATTERN.sub("", part)), parts
    )
    return Path(*[ESCAPED_GLOB_PATTERN.sub(r"\1", part) for part in fixed_parts])


def unopenable_error(path: Path, error: OSError) -> DataError:
    """Return the error for an existing file that cannot be opened."""
    return DataError(
        f"{path.name} cannot be opened",
        detail=f"{path}: {error.strerror}",
        hint="check that you may read it, and that it is a regular file",
    )


def require_path(path: Path) -> None:
    """Check that a file or folder exists.

    Raises:
        DataError: it does not; the detail lists similar names in the same folder.
    """
    if os.path.exists(path):  # unlike Path.exists, False where a name is too long
        return
    folder = path.parent
    hint = "make sure that the path is right"
    if not os.path.isdir(folder):
        nearest_folder = next(
            parent for parent in folder.absolute().parents if os.path.isdir(parent)
        )
        detail = f"there is no folder {folder}; the nearest existing one is {nearest_folder}"
    else:
        names = list_folder(folder)
        close_names = difflib.get_close_matches(path.name, names, n=5)
        same_prefix_names = [name for name in names if name[:3].lower() == path.name[:3].lower()]
        shown_names = list(dict.fromkeys([*close_names, *same_prefix_names]))[:5]
        detail = (
            f"in the same folder: {', '.join(shown_names)}"
            if shown_names
            else f"folder: {folder.absolute()}"
        )
        if close_names:
            hint = f"{hint}; {did_you_mean(path.name, close_names)}"
    raise DataError(f"there is no file {path}", detail=detail, hint=hint)


def list_folder(folder: Path) -> list[str]:
    """Return the sorted names in a folder; none if it cannot be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def resolve_address(source: str, base: Path) -> str | Path:
    """Resolve an address of a project file, relative to the folder of that file.

    Args:
        source: a path, a pattern, or a URL such as ``sqlite:///shop.db?table=orders``.
        base: the folder that relative addresses start from.
    """
    if match := FILE_URL_PATTERN.fullmatch(source):
        return f"{match[1]}{(base / match[2]).resolve()}{match[3]}" if match[2] else source
    if URL_PATTERN.match(source):
        return source
    # An existing file of that name wins: names such as "sales [2024].csv" are common.
    if glob.has_magic(source) and not (base / source).exists():
        # Only the address is a pattern; the project folder may have brackets in its name.
        return os.path.join(glob.escape(str(base.resolve())), source)
    return (base / source).resolve()


def relative_address(source: str | Path, base: Path) -> str:
    """Return an address relative to the folder of a project file, the inverse of `resolve_address`.

    Args:
        source: a path, a pattern or a URL; relative ones start at the working directory.
        base: the folder of the project file.
    """

    def path_from_base(path: str) -> str:
        return Path(os.path.relpath(path, base.resolve())).as_posix()

    text = str(source)
    if match := FILE_URL_PATTERN.fullmatch(text):
        return f"{match[1]}{path_from_base(str(Path(match[2]).resolve()))}{match[3]}"
    if URL_PATTERN.match(text):
        return text
    if glob.has_magic(text) and not Path(text).exists():
        if os.path.isabs(text):
            return path_from_base(text)
        # Escaped, since the working directory may have brackets in its name.
        working_folder = glob.escape(path_from_base(os.getcwd()))
        return Path(os.path.normpath(os.path.join(working_folder, text))).as_posix()
    return path_from_base(str(Path(text).resolve()))
