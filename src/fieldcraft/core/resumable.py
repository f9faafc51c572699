"""Long work in parts that survive a killed process, in a hidden folder beside what they make."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fieldcraft.core import files
from fieldcraft.core.errors import DataError


class ResumableParts:
    """Numbered parts in a folder, each with what is to be known of it.

    A part counts once its record is there, which is written last; each is synced, then renamed.
    """

    def __init__(self, folder: Path) -> None:
        """Look after the parts in a folder that is there."""
        self.folder = folder

    def data_path(self, number: int) -> Path:
        """The file of a part."""
        return self.folder / f"{number:08d}.part"

    def metadata_path(self, number: int) -> Path:
        """The file that says what is to be known of a part."""
        return self.folder / f"{number:08d}.json"

    def is_complete(self, number: int) -> bool:
        """Whether a part is there, whole."""
        return self.metadata_path(number).exists() and self.data_path(number).exists()

    def load_metadata(self, number: int) -> Any:
        """What was told of a part when it was added."""
        return files.read_json(self.metadata_path(number))

    def add(self, number: int, write: Callable[[Path], None], metadata: Any) -> None:
        """Write a part.

        Args:
            number: of the part, from 0.
            write: writes the file of that path.
            metadata: a JSON value.
        """
        path = self.data_path(number)
        temporary_path = path.with_suffix(".tmp")
        write(temporary_path)
        files.fsync_path(temporary_path)
        temporary_path.replace(path)
        files.atomic_write_json(self.metadata_path(number), metadata)


@contextmanager
def open_resumable_parts(out: Path, key: str) -> Iterator[ResumableParts]:
    """The parts of an output, kept in the folder ``.OUT.parts`` until the block ends well.

    Args:
        out: the file that the parts will make.
        key: names what the parts are made of; parts of another key are removed.

    Raises:
        DataError: another process is at work on the same output.
    """
    parts_folder = out.with_name(f".{out.name}.parts")
    with files.try_lock(parts_folder / "lock") as is_locked:
        if not is_locked:
            raise DataError(
                f"another process is writing {out.name}",
                detail=str(parts_folder),
                hint="wait until it has ended, or use another name for the output",
            )
        key_folder = parts_folder / key
        for stale_folder in parts_folder.iterdir():
            if stale_folder.is_dir() and stale_folder != key_folder:
                remove_atomically(stale_folder)
        key_folder.mkdir(exist_ok=True)
        try:
            yield ResumableParts(key_folder)
        except BaseException:
            if not any(key_folder.glob("*.json")):  # there is nothing to keep
                shutil.rmtree(parts_folder)
            raise
        remove_atomically(key_folder)
        shutil.rmtree(parts_folder)


def remove_atomically(folder: Path) -> None:
    """Remove a folder of parts; killed in the middle, it leaves none that seems to hold them."""
    trash_folder = folder.with_name("removed")
    if folder != trash_folder:
        shutil.rmtree(trash_folder, ignore_errors=True)
        folder.rename(trash_folder)
    shutil.rmtree(trash_folder)


def publish_file(temporary_path: Path, target_path: Path) -> None:
    """Give a finished file its final name, all of it on the disk before."""
    files.fsync_path(temporary_path)
    os.replace(temporary_path, target_path)
    files.fsync_path(target_path.parent)
