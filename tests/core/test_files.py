"""Files and folders are whole or not there, and a lock keeps others out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from fieldcraft.core import files

HOLD = """
import sys
from pathlib import Path
from fieldcraft.core.files import lock
with lock(Path(sys.argv[1])) as alone:
    print(alone, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A file with old content, alone in its folder, which is alone in another."""
    path = tmp_path / "folder" / "target"
    path.parent.mkdir()
    path.write_text("old", encoding="utf-8")
    return path


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No content reaches the disk any more."""

    def refuse(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)


def test_a_write_makes_the_folders_above_it(tmp_path: Path) -> None:
    files.write_text(tmp_path / "a" / "b" / "c.txt", "é\n")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "é\n".encode()


def test_a_write_replaces_and_leaves_nothing_beside(target: Path) -> None:
    files.write_bytes(target, b"new")
    assert target.read_bytes() == b"new"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.usefixtures("full_disk")
def test_a_write_that_fails_leaves_the_old_content_and_nothing_beside(target: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        files.write_bytes(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def test_a_value_that_is_not_json_leaves_the_old_content(target: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        files.write_json(target, {"loss": float("nan")})
    assert target.read_bytes() == b"old"


def test_json_reads_back_as_written(target: Path) -> None:
    value = {"name": "Zoë", "rows": [1, 2.5, None, True]}
    files.write_json(target, value)
    assert files.read_json(target) == value
    assert "Zoë" in target.read_text(encoding="utf-8")


def test_a_folder_appears_only_when_its_block_ends_well(tmp_path: Path) -> None:
    final = tmp_path / "runs" / "final"
    with files.whole_folder(final) as aside:
        (aside / "inner").mkdir()
        (aside / "inner" / "a").write_text("new", encoding="utf-8")
        assert not final.exists()
    assert (final / "inner" / "a").read_text(encoding="utf-8") == "new"
    assert list(final.parent.iterdir()) == [final]


def test_a_new_folder_replaces_the_old_one_entirely(target: Path) -> None:
    old = target.parent
    with files.whole_folder(old) as aside:
        (aside / "new").write_text("new", encoding="utf-8")
    assert [path.name for path in old.iterdir()] == ["new"]
    assert list(old.parent.iterdir()) == [old]


def test_a_block_that_raises_leaves_the_old_folder(target: Path) -> None:
    old = target.parent

    def fill_half() -> None:
        with files.whole_folder(old) as aside:
            (aside / "new").write_text("new", encoding="utf-8")
            raise RuntimeError("stopped half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        fill_half()
    assert [path.name for path in old.iterdir()] == ["target"]
    assert list(old.parent.iterdir()) == [old]


def test_what_a_killed_process_left_aside_does_not_get_into_the_folder(tmp_path: Path) -> None:
    final = tmp_path / "final"
    with files.whole_folder(final) as aside:
        left = aside
    left.mkdir()
    (left / "torn").write_text("half", encoding="utf-8")
    with files.whole_folder(final) as aside:
        (aside / "whole").write_text("all", encoding="utf-8")
    assert [path.name for path in final.iterdir()] == ["whole"]


def holder(path: Path) -> subprocess.Popen[str]:
    """Another process that asks for the lock and waits for its input to end."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def answer(stream: IO[str] | None) -> bool:
    """Whether the other process has the lock, by its first line."""
    assert stream is not None
    return bool(json.loads(stream.readline().lower()))


def test_a_lock_keeps_a_second_process_out_until_the_first_ends(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "lock"
    with holder(path) as other:
        assert answer(other.stdout)
        with files.lock(path) as alone:
            assert not alone
        other.kill()  # however it ends
        other.wait()
    with files.lock(path) as alone:
        assert alone
        with holder(path) as other:
            assert not answer(other.stdout)


def test_a_folder_is_replaced_without_a_moment_in_which_it_is_missing(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    for folder in (new, old):
        folder.mkdir()
        (folder / "name").write_text(folder.name, encoding="utf-8")
    assert files.exchange(new, old) == sys.platform.startswith("linux")
    files.commit_folder(new, tmp_path / "final")
    assert [path.name for path in (tmp_path / "final").iterdir()] == ["name"]


@pytest.mark.parametrize("swaps", [True, False])
def test_a_committed_folder_takes_the_place_of_the_old_one(
    tmp_path: Path, swaps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not swaps:
        monkeypatch.setattr(files, "exchange", lambda one, other: False)
    for name in ("aside", "final"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "content").write_text(name, encoding="utf-8")
    files.commit_folder(tmp_path / "aside", tmp_path / "final")
    assert (tmp_path / "final" / "content").read_text(encoding="utf-8") == "aside"
    assert [path.name for path in tmp_path.iterdir()] == ["final"]
