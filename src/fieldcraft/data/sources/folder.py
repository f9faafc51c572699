"""Folders and patterns: the files of one table, such as ``data/part-*.csv``, or photos."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from fieldcraft.core import digest
from fieldcraft.core.errors import DataError
from fieldcraft.core.formatting import truncated_list
from fieldcraft.data.concat import file_digests, partition_tables, read_table_files
from fieldcraft.data.image_folder import find_images, image_table, images_digest, is_image
from fieldcraft.data.location import SourceLocation, list_folder, require_path, root_folder
from fieldcraft.data.source import ReadResult, matching_source


class FolderSource:
    """Files with the same columns, concatenated in the natural order of their names; or photos."""

    name = "folder"
    address_forms = ("a folder", "a pattern such as data/*.csv")

    def can_read(self, location: SourceLocation) -> bool:
        """Return whether this is a folder or a pattern."""
        return location.is_pattern or not (location.is_file or location.scheme)

    def read(self, location: SourceLocation, names: Sequence[str]) -> ReadResult:
        """Read all files and concatenate their rows, or list the photos.

        Raises:
            DataError: there is no table, one cannot be read, or the columns differ.
        """
        if image_names := list_images(location):
            root = root_folder(location)
            other_names = [
                file.path.name for file in list_files(location) if not is_image(file.path.name)
            ]
            return image_table(image_names, other_names, root.name)
        tables, others = find_table_files(location)
        other_names = [file.path.name for file in others]
        return read_table_files(tables, other_names, names, location.address)

    def digest(self, location: SourceLocation) -> str:
        """Return the digest of the names and contents of the files."""
        if image_names := list_images(location):
            return images_digest(root_folder(location), image_names)
        # Names count too, since they determine the order of the rows.
        tables, _ = find_table_files(location)
        return digest.of_json(file_digests(tables, root_folder(location)))


def find_table_files(location: SourceLocation) -> tuple[list[SourceLocation], list[SourceLocation]]:
    """Find the table files of a folder or pattern, in natural order, and the other files.

    Raises:
        DataError: there is no such folder, no file matches, or none of them is a table.
    """
    tables, other_files = partition_tables(list_files(location))
    if tables:
        return tables, other_files
    root = root_folder(location)
    require_path(root)
    present_names = list_folder(root)
    raise DataError(
        f"no table in {location.address}",
        detail=f"{root} holds: {truncated_list(present_names, 6)}"
        if present_names
        else f"{root} is empty",
        hint="give a file, or a pattern that matches some: data/*.csv, or data/**/*.csv for "
        "nested folders",
    )


def list_files(location: SourceLocation) -> list[SourceLocation]:
    """List the visible files directly in a folder, or the files that match a pattern."""
    if location.is_pattern:
        paths = [Path(name) for name in glob.glob(location.address, recursive=True)]
    else:
        paths = [location.path / name for name in list_folder(location.path) if name[0] not in "._"]
    return [SourceLocation(str(path)) for path in paths if path.is_file()]


def list_images(location: SourceLocation) -> list[str]:
    """List the photos below a folder, or of a pattern, as relative paths; none beside a table."""
    # Tables take precedence: their cells may name the photos beside them.
    files, root = list_files(location), root_folder(location)
    if any(matching_source(file) for file in files):
        return []
    if location.is_pattern:
        return [
            file.path.relative_to(root).as_posix() for file in files if is_image(file.path.name)
        ]
    return find_images(root) if root.is_dir() else []


SOURCE = FolderSource()
