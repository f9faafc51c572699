"""Folders of photos as a table: the path of each, and the label that its folder gives."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import polars as pl

from fieldcraft.core import digest
from fieldcraft.core.formatting import pluralize, truncated_list
from fieldcraft.data.concat import natural_sort_key
from fieldcraft.data.source import ReadResult
from fieldcraft.data.splitting import SPLIT_NAMES

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
)
SPLIT_FOLDER_NAMES = frozenset(word for words in SPLIT_NAMES.values() for word in words)


def is_image(name: str) -> bool:
    """Return whether a name has the extension of an image."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def find_images(folder: Path) -> list[str]:
    """Find the photos below a folder, as relative paths; hidden files and folders are skipped."""
    image_names: list[str] = []
    for current_folder, folders, names in os.walk(folder):
        # In place, so that os.walk does not enter hidden folders.
        folders[:] = [name for name in folders if name[0] not in "._"]
        base = Path(current_folder).relative_to(folder)
        image_names += [
            (base / name).as_posix() for name in names if name[0] != "." and is_image(name)
        ]
    return image_names


def image_table(names: Sequence[str], other_names: Sequence[str], container: str) -> ReadResult:
    """Return a table with one row per photo.

    Columns are ``image``, the path; ``label``, the folder of the photo; ``folder``, the folders
    above that one; and ``split``, if the top-level folders are the parts of a split (train,
    test). A constant column is left out, except for the label.

    Args:
        names: paths of the photos, relative to the folder or archive.
        other_names: names of other files there, which are ignored and listed in a note.
        container: the folder or archive, for messages.
    """
    ordered = sorted(names, key=natural_sort_key)
    parent_folders = parent_folder_parts(ordered)
    columns: dict[str, list[str | None]] = {"image": list(ordered)}
    # All top-level folders must be parts: a class may well be called "test" or "valid".
    has_parts = all(
        folders and folders[0].lower() in SPLIT_FOLDER_NAMES for folders in parent_folders
    )
    if has_parts:
        columns["split"] = [folders[0].lower() for folders in parent_folders]
        parent_folders = [folders[1:] for folders in parent_folders]
    labels = [folders[-1] if folders else None for folders in parent_folders]
    upper_folders = ["/".join(folders[:-1]) or None for folders in parent_folders]
    if len(set(upper_folders)) > 1:
        columns["folder"] = upper_folders
    if any(labels):
        columns["label"] = labels
    notes = [f"{pluralize(len(ordered), 'photo')} in {container}; {describe_labels(labels)}"]
    if other_names:
        notes.append(f"ignored, not a photo: {truncated_list(sorted(other_names), 5)}")
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return ReadResult(frame, notes=tuple(notes), split_column="split" if has_parts else None)


def parent_folder_parts(names: Sequence[str]) -> list[list[str]]:
    """Return the folders of each photo, without those that enclose all of them."""
    parent_folders = [list(PurePosixPath(name).parts[:-1]) for name in names]
    # Archives often pack everything in one folder. It is kept if it is the only level, since it
    # is then the label.
    while (
        all(parent_folders)
        and len({folders[0] for folders in parent_folders}) == 1
        and has_nested_folders(parent_folders)
    ):
        parent_folders = [folders[1:] for folders in parent_folders]
    return parent_folders


def has_nested_folders(parent_folders: Sequence[Sequence[str]]) -> bool:
    """Return whether there are folders below the top level."""
    return any(len(folders) > 1 for folders in parent_folders)


def describe_labels(labels: Sequence[str | None]) -> str:
    """Return a note on the labels."""
    present_labels = sorted({label for label in labels if label}, key=natural_sort_key)
    return (
        f"labels from folder names: {truncated_list(present_labels, 5)}"
        if present_labels
        else "no labels from folder names"
    )


def images_digest(root: Path, names: Sequence[str]) -> str:
    """Return the digest of the names and contents of photos in a folder."""
    return digest.of_json([[name, digest.of_file(root / name)] for name in sorted(names)])
