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


class Parts:
    """Numbered parts in a folder, each with what is to be known of it.

    A part counts once its record is there, which is written last; each is synced, then renamed.
    """

    def __init__(self, folder: Path) -> None:
        """Look after the parts in a folder that is there."""
        self.folder = folder

    def path(self, number: int) -> Path:
        """The file of a part."""
        return self.folder / f"{number:08d}.part"

    def record(self, number: int) -> Path:
        """The file that says what is to be known of a part."""
        return self.folder / f"{number:08d}.json"

    def has(self, number: int) -> bool:
        """Whether a part is there, whole."""
        return self.record(number).exists() and self.path(number).exists()

    def about(self, number: int) -> Any:
        """What was told of a part when it was added."""
        return files.read_json(self.record(number))

    def add(self, number: int, write: Callable[[Path], None], about: Any) -> None:
        """Write a part.

        Args:
            number: of the part, from 0.
            write: writes the file of that path.
            about: a JSON value.
        """
        path = self.path(number)
        aside = path.with_suffix(".tmp")
        write(aside)
        files.sync(aside)
        aside.replace(path)
        files.write_json(self.record(number), about)


@contextmanager
def parts_of(out: Path, key: str) -> Iterator[Parts]:
    """The parts of an output, kept in the folder ``.OUT.parts`` until the block ends well.

    Args:
        out: the file that the parts will make.
        key: names what the parts are made of; parts of another key are removed.

    Raises:
        DataError: another process is at work on the same output.
    """
    home = out.with_name(f".{out.name}.parts")
    with files.lock(home / "lock") as alone:
        if not alone:
            raise DataError(
                f"another process is writing {out.name}",
                seen=str(home),
                way_out="wait until it has ended, or use another name for the output",
            )
        folder = home / key
        for other in home.iterdir():
            if other.is_dir() and other != folder:
                remove(other)
        folder.mkdir(exist_ok=True)
        try:
            yield Parts(folder)
        except BaseException:
            if not any(folder.glob("*.json")):  # there is nothing to keep
                shutil.rmtree(home)
            raise
        remove(folder)
        shutil.rmtree(home)


def remove(folder: Path) -> None:
    """Remove a folder of parts; killed in the middle, it leaves none that seems to hold them."""
    gone = folder.with_name("removed")
    if folder != gone:
        shutil.rmtree(gone, ignore_errors=True)
        folder.rename(gone)
    shutil.rmtree(gone)


def put_in_place(aside: Path, final: Path) -> None:
    """Give a finished file its final name, all of it on the disk before."""
    files.sync(aside)
    os.replace(aside, final)
    files.sync(final.parent)
