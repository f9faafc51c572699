"""Photos in folders as a table: the name of each, and what its folders say."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import polars as pl

from fieldcraft.core.digest import of_file, of_json
from fieldcraft.core.formatting import pluralize, truncated_list
from fieldcraft.data.concat import natural_sort_key
from fieldcraft.data.source import ReadResult
from fieldcraft.data.splitting import SPLIT_NAMES

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
)
SPLIT_FOLDER_NAMES = frozenset(word for words in SPLIT_NAMES.values() for word in words)


def is_image(name: str) -> bool:
    """Whether a name ends as those of photos do."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def find_images(folder: Path) -> list[str]:
    """The photos in a folder and its folders, relative to it; hidden ones are passed over."""
    image_names: list[str] = []
    for current_folder, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name[0] not in "._"]
        base = Path(current_folder).relative_to(folder)
        image_names += [
            (base / name).as_posix() for name in names if name[0] != "." and is_image(name)
        ]
    return image_names


def image_table(names: Sequence[str], other_names: Sequence[str], container: str) -> ReadResult:
    """A table with a row for each photo.

    Columns are ``image``, the name; ``label``, the folder that a photo lies in; ``folder``, the
    folders above that one; and ``split``, where the uppermost folders are named as the parts of
    a ready-made split are (train, test). A column that would say the same of all is left out,
    but for the label.

    Args:
        names: of the photos, relative to the folder or archive that holds them.
        other_names: names of other files there, which are told and left out.
        container: what the photos make together, for messages.
    """
    ordered = sorted(names, key=natural_sort_key)
    parent_folders = parent_folder_parts(ordered)
    columns: dict[str, list[str | None]] = {"image": list(ordered)}
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
        notes.append(f"left out, for they are no photos: {truncated_list(sorted(other_names), 5)}")
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return ReadResult(frame, notes=tuple(notes), split_column="split" if has_parts else None)


def parent_folder_parts(names: Sequence[str]) -> list[list[str]]:
    """The folders that each photo lies in; one around everything says nothing and is left out."""
    parent_folders = [list(PurePosixPath(name).parts[:-1]) for name in names]
    while (
        all(parent_folders)
        and len({folders[0] for folders in parent_folders}) == 1
        and has_nested_folders(parent_folders)
    ):
        parent_folders = [folders[1:] for folders in parent_folders]
    return parent_folders


def has_nested_folders(parent_folders: Sequence[Sequence[str]]) -> bool:
    """Whether there are folders below the uppermost one."""
    return any(len(folders) > 1 for folders in parent_folders)


def describe_labels(labels: Sequence[str | None]) -> str:
    """What the folders say."""
    present_labels = sorted({label for label in labels if label}, key=natural_sort_key)
    return (
        f"folders give the label: {truncated_list(present_labels, 5)}"
        if present_labels
        else "no folders give a label"
    )


def images_digest(root: Path, names: Sequence[str]) -> str:
    """Digest of the names and contents of photos in a folder."""
    return of_json([[name, of_file(root / name)] for name in sorted(names)])
