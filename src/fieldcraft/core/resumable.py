"""Long jobs in parts that survive a killed process, in a hidden folder beside their output."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fieldcraft.core import files
from fieldcraft.core.errors import DataError


class ResumableParts:
    """Numbered parts in a folder, each with its metadata.

    A part is complete once its metadata, which is written last, is there.
    """

    def __init__(self, folder: Path) -> None:
        """Use an existing folder."""
        self.folder = folder

    def data_path(self, number: int) -> Path:
        """Return the path of the data of a part."""
        return self.folder / f"{number:08d}.part"

    def metadata_path(self, number: int) -> Path:
        """Return the path of the metadata of a part."""
        return self.folder / f"{number:08d}.json"

    def is_complete(self, number: int) -> bool:
        """Return whether both the data and the metadata of a part are there."""
        # Both: the renames of one folder may reach the disk in any order, so that after a power
        # failure the metadata can be there without the data.
        return self.metadata_path(number).exists() and self.data_path(number).exists()

    def load_metadata(self, number: int) -> Any:
        """Return the metadata that was passed to `add`."""
        return files.read_json(self.metadata_path(number))

    def add(self, number: int, write: Callable[[Path], None], metadata: Any) -> None:
        """Write a part.

        Args:
            number: number of the part, from 0.
            write: writes the data to the path it is called with.
            metadata: a JSON value.
        """
        path = self.data_path(number)
        # One name for all attempts: what a killed process left is overwritten, not added to.
        temporary_path = path.with_suffix(".tmp")
        write(temporary_path)
        # The data comes before the metadata: a crash between them leaves a part that counts as
        # missing and is written again. The folder is synced once for both, by the second write.
        files.publish_file(temporary_path, path, sync_folder=False)
        files.atomic_write_json(self.metadata_path(number), metadata)


@contextmanager
def open_resumable_parts(out: Path, key: str) -> Iterator[ResumableParts]:
    """Yield the parts of an output, kept in the folder ``.OUT.parts`` until the block succeeds.

    Args:
        out: the file that the parts will make.
        key: identifies what the parts are made from; parts of another key are removed.

    Raises:
        DataError: another process is writing the same output.
    """
    parts_folder = out.with_name(f".{out.name}.parts")
    with files.try_lock(parts_folder / "lock") as has_lock:
        if not has_lock:
            raise DataError(
                f"another process is writing {out.name}",
                detail=str(parts_folder),
                hint="wait until it has finished, or use another name for the output",
            )
        key_folder = parts_folder / key
        for stale_folder in parts_folder.iterdir():
            if stale_folder.is_dir() and stale_folder != key_folder:
                remove_atomically(stale_folder)
        key_folder.mkdir(exist_ok=True)
        try:
            yield ResumableParts(key_folder)
        except BaseException:  # also after Ctrl+C, the next run resumes from the complete parts
            if not any(key_folder.glob("*.json")):  # no part is complete
                shutil.rmtree(parts_folder)
            raise
        # The key folder goes first: if a crash interrupted the removal of `.OUT.parts` as a whole,
        # some parts of a finished output could remain, and a later run would resume from them.
        remove_atomically(key_folder)
        shutil.rmtree(parts_folder)


def remove_atomically(folder: Path) -> None:
    """Remove a folder of parts so that a crash never leaves some of them under its name."""
    # Renamed first, in one step: a half-removed folder then matches no key, and the next run,
    # which removes the folders of other keys, removes the rest.
    trash_folder = folder.with_name("removed")
    if folder != trash_folder:
        shutil.rmtree(trash_folder, ignore_errors=True)
        folder.rename(trash_folder)
    shutil.rmtree(trash_folder)
