"""Photos in folders as a table: the name of each, and what its folders say."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import polars as pl

from fieldcraft.core.digest import of_file, of_json
from fieldcraft.core.words import listed, plural
from fieldcraft.data.reading import Reading
from fieldcraft.data.split import PART_WORDS
from fieldcraft.data.together import natural

ENDINGS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
)
PARTS = frozenset(word for words in PART_WORDS.values() for word in words)


def is_photo(name: str) -> bool:
    """Whether a name ends as those of photos do."""
    return PurePosixPath(name).suffix.lower() in ENDINGS


def photos_below(folder: Path) -> list[str]:
    """The photos in a folder and its folders, relative to it; hidden ones are passed over."""
    found: list[str] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name[0] not in "._"]
        base = Path(place).relative_to(folder)
        found += [(base / name).as_posix() for name in names if name[0] != "." and is_photo(name)]
    return found


def photo_table(names: Sequence[str], rest: Sequence[str], whole: str) -> Reading:
    """A table with a row for each photo.

    Columns are ``image``, the name; ``label``, the folder that a photo lies in; ``folder``, the
    folders above that one; and ``split``, where the uppermost folders are named as the parts of
    a ready-made split are (train, test). A column that would say the same of all is left out,
    but for the label.

    Args:
        names: of the photos, relative to the folder or archive that holds them.
        rest: names of other files there, which are told and left out.
        whole: what the photos make together, for messages.
    """
    ordered = sorted(names, key=natural)
    above = folders_above(ordered)
    columns: dict[str, list[str | None]] = {"image": list(ordered)}
    has_parts = all(folders and folders[0].lower() in PARTS for folders in above)
    if has_parts:
        columns["split"] = [folders[0].lower() for folders in above]
        above = [folders[1:] for folders in above]
    labels = [folders[-1] if folders else None for folders in above]
    upper = ["/".join(folders[:-1]) or None for folders in above]
    if len(set(upper)) > 1:
        columns["folder"] = upper
    if any(labels):
        columns["label"] = labels
    notes = [f"{plural(len(ordered), 'photo')} in {whole}; {told(labels)}"]
    if rest:
        notes.append(f"left out, for they are no photos: {listed(sorted(rest), 5)}")
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return Reading(frame, notes=tuple(notes), split="split" if has_parts else None)


def folders_above(names: Sequence[str]) -> list[list[str]]:
    """The folders that each photo lies in; one around everything says nothing and is left out."""
    above = [list(PurePosixPath(name).parts[:-1]) for name in names]
    while all(above) and len({folders[0] for folders in above}) == 1 and deep(above):
        above = [folders[1:] for folders in above]
    return above


def deep(above: Sequence[Sequence[str]]) -> bool:
    """Whether there are folders below the uppermost one."""
    return any(len(folders) > 1 for folders in above)


def told(labels: Sequence[str | None]) -> str:
    """What the folders say."""
    there = sorted({label for label in labels if label}, key=natural)
    return f"folders give the label: {listed(there, 5)}" if there else "no folders give a label"


def photos_digest(root: Path, names: Sequence[str]) -> str:
    """Digest of the names and contents of photos in a folder."""
    return of_json([[name, of_file(root / name)] for name in sorted(names)])
