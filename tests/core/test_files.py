"""Files and folders are written atomically, and a lock excludes other processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from fieldcraft.core import files
from tests.core.conftest import DiskCall, move_call, sync_call

HOLD_LOCK_SCRIPT = """
import sys
from pathlib import Path
from fieldcraft.core.files import try_lock
with try_lock(Path(sys.argv[1])) as has_lock:
    print(has_lock, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A file with old content, the only one in its folder."""
    path = tmp_path / "folder" / "target"
    path.parent.mkdir()
    path.write_text("old", encoding="utf-8")
    return path


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sync fails as on a full disk."""

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)


def test_a_write_makes_the_folders_above_it(tmp_path: Path) -> None:
    files.atomic_write_text(tmp_path / "a" / "b" / "c.txt", "é\n")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "é\n".encode()


def test_a_write_replaces_the_file_and_leaves_no_temporary_one(target: Path) -> None:
    files.atomic_write_bytes(target, b"new")
    assert target.read_bytes() == b"new"
    assert list(target.parent.iterdir()) == [target]


def test_content_is_synced_before_the_rename_and_the_folder_after_it(
    target: Path, disk_calls: list[DiskCall]
) -> None:
    files.atomic_write_bytes(target, b"new content")
    assert disk_calls == [sync_call(target), move_call(target), sync_call(target.parent)]
    assert disk_calls[0][2] == len(b"new content")  # nothing waits in a buffer


@pytest.mark.parametrize("number", ["os.getpid", "threading.get_ident"])
def test_two_processes_or_threads_use_different_temporary_files(
    target: Path, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def write_meanwhile(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", sync)
        monkeypatch.setattr(number, lambda: 1)
        files.atomic_write_bytes(target, b"second")

    monkeypatch.setattr(os, "fsync", write_meanwhile)
    files.atomic_write_bytes(target, b"first")
    assert target.read_bytes() == b"first"
    assert list(target.parent.iterdir()) == [target]


def test_the_cache_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CACHE_HOME", "FIELDCRAFT_CACHE"):
        monkeypatch.delenv(name, raising=False)
    assert files.cache_folder() == tmp_path / ".cache" / "fieldcraft"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert files.cache_folder() == tmp_path / "xdg" / "fieldcraft"
    monkeypatch.setenv("FIELDCRAFT_CACHE", str(tmp_path / "own"))
    assert files.cache_folder() == tmp_path / "own"


def test_json_is_written_with_an_end_of_line_and_indented(target: Path) -> None:
    files.atomic_write_json(target, {"a": [1]})
    assert target.read_bytes() == b'{\n "a": [\n  1\n ]\n}\n'


@pytest.mark.usefixtures("full_disk")
def test_a_failed_write_leaves_the_old_content_and_no_temporary_file(target: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        files.atomic_write_bytes(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def test_a_value_that_is_not_json_leaves_the_old_content(target: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        files.atomic_write_json(target, {"loss": float("nan")})
    assert target.read_bytes() == b"old"


def test_json_reads_back_as_written(target: Path) -> None:
    value = {"name": "Zoë", "rows": [1, 2.5, None, True]}
    files.atomic_write_json(target, value)
    assert files.read_json(target) == value
    assert "Zoë" in target.read_text(encoding="utf-8")


def test_a_folder_appears_only_when_its_block_succeeds(tmp_path: Path) -> None:
    final = tmp_path / "runs" / "final"
    with files.atomic_folder(final) as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "a").write_text("new", encoding="utf-8")
        assert not final.exists()
    assert (final / "inner" / "a").read_text(encoding="utf-8") == "new"
    assert list(final.parent.iterdir()) == [final]


def test_a_new_folder_replaces_the_old_one_entirely(target: Path) -> None:
    old = target.parent
    with files.atomic_folder(old) as temporary:
        (temporary / "new").write_text("new", encoding="utf-8")
    assert [path.name for path in old.iterdir()] == ["new"]
    assert list(old.parent.iterdir()) == [old]


def test_a_block_that_raises_leaves_the_old_folder(target: Path) -> None:
    old = target.parent

    def fill_half() -> None:
        with files.atomic_folder(old) as temporary:
            (temporary / "new").write_text("new", encoding="utf-8")
            raise RuntimeError("stopped half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        fill_half()
    assert [path.name for path in old.iterdir()] == ["target"]
    assert list(old.parent.iterdir()) == [old]


def test_leftovers_of_a_killed_process_do_not_get_into_the_folder(tmp_path: Path) -> None:
    final = tmp_path / "final"
    with files.atomic_folder(final) as temporary:
        leftover = temporary
    leftover.mkdir()
    (leftover / "partial").write_text("half", encoding="utf-8")
    with files.atomic_folder(final) as temporary:
        (temporary / "whole").write_text("all", encoding="utf-8")
    assert [path.name for path in final.iterdir()] == ["whole"]


def test_two_processes_use_different_temporary_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = tmp_path / "final"
    with files.atomic_folder(final) as first:
        (first / "first").mkdir()
        monkeypatch.setattr(os, "getpid", lambda: 1)
        with files.atomic_folder(final) as second:
            (second / "second").mkdir()
        assert [path.name for path in final.iterdir()] == ["second"]
    assert [path.name for path in final.iterdir()] == ["first"]
    assert list(tmp_path.iterdir()) == [final]


def start_lock_holder(path: Path) -> subprocess.Popen[str]:
    """Start a process that tries to take the lock and waits for its input to end."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK_SCRIPT, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def read_has_lock(stream: IO[str] | None) -> bool:
    """Return whether the other process has the lock, from its first line."""
    assert stream is not None
    return bool(json.loads(stream.readline().lower()))


def test_a_lock_excludes_a_second_process_until_the_first_ends(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "lock"
    with start_lock_holder(path) as holder:
        assert read_has_lock(holder.stdout)
        with files.try_lock(path) as has_lock:
            assert not has_lock
        holder.kill()  # however it ends
        holder.wait()
    with files.try_lock(path) as has_lock:
        assert has_lock
        with start_lock_holder(path) as holder:
            assert not read_has_lock(holder.stdout)


def test_a_lock_is_released_when_its_block_ends_or_raises(tmp_path: Path) -> None:
    path = tmp_path / "new" / "runs" / "lock"
    with pytest.raises(RuntimeError, match="stopped"), files.try_lock(path):
        raise RuntimeError("stopped")
    with files.try_lock(path) as has_lock, files.try_lock(path) as again:
        assert (has_lock, again) == (True, False)


def test_linux_replaces_a_folder_in_one_step(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    for folder in (new, old):
        folder.mkdir()
        (folder / "name").write_text(folder.name, encoding="utf-8")
    assert files.swap_folders(new, old) == sys.platform.startswith("linux")
    files.replace_folder(new, tmp_path / "final")
    assert [path.name for path in (tmp_path / "final").iterdir()] == ["name"]


@pytest.mark.parametrize("swaps", [True, False])
def test_a_finished_folder_replaces_the_old_one(
    tmp_path: Path, swaps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not swaps:
        monkeypatch.setattr(files, "swap_folders", cannot_swap)
    for name in ("temporary", "final"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "content").write_text(name, encoding="utf-8")
    files.replace_folder(tmp_path / "temporary", tmp_path / "final")
    assert (tmp_path / "final" / "content").read_text(encoding="utf-8") == "temporary"
    assert [path.name for path in tmp_path.iterdir()] == ["final"]


def cannot_swap(first: Path, second: Path) -> bool:
    return False


def record_swaps(calls: list[DiskCall]) -> Callable[[Path, Path], bool]:
    swap_folders = files.swap_folders

    def record(first: Path, second: Path) -> bool:
        calls.append(move_call(first))
        return swap_folders(first, second)

    return record


@pytest.mark.parametrize("before", ["absent", "swapped", "moved away"])
def test_a_folder_is_synced_before_the_rename_and_its_parent_before_the_old_one_is_removed(
    tmp_path: Path, before: str, disk_calls: list[DiskCall], monkeypatch: pytest.MonkeyPatch
) -> None:
    swaps = before == "swapped" and sys.platform.startswith("linux")
    swap_folders = record_swaps(disk_calls) if swaps else cannot_swap
    monkeypatch.setattr(files, "swap_folders", swap_folders)
    temporary, final = tmp_path / "temporary", tmp_path / "runs" / "now" / "final"
    (temporary / "inner").mkdir(parents=True)
    (temporary / "a").write_bytes(b"first")
    (temporary / "inner" / "b").write_bytes(b"second")
    if before != "absent":
        final.mkdir(parents=True)
    old = [move_call(final)] if before != "absent" and not swaps else []
    files.replace_folder(temporary, final)
    expected_syncs = {sync_call(path) for path in final.rglob("*")}
    assert set(disk_calls[:3]) == expected_syncs
    assert disk_calls[3:] == [sync_call(final), *old, move_call(final), sync_call(final.parent)]


def test_an_old_folder_that_a_crash_left_behind_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "swap_folders", cannot_swap)
    for name in ("temporary", "final", ".final.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name, encoding="utf-8")
    files.replace_folder(tmp_path / "temporary", tmp_path / "final")
    assert [path.name for path in tmp_path.rglob("*")] == ["final", "temporary"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="renameat2 is of Linux")
def test_swapped_folders_have_the_content_of_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name / name).mkdir(parents=True)
    assert files.swap_folders(Path("a"), Path("b"))
    assert [next((tmp_path / name).iterdir()).name for name in ("a", "b")] == ["b", "a"]
    assert not files.swap_folders(Path("a"), Path("gone"))


@pytest.mark.parametrize("lack", ["sys.platform", "ctypes.CDLL"])
def test_nothing_is_moved_where_folders_cannot_be_swapped(
    tmp_path: Path, lack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name / name).mkdir(parents=True)
    instead = "darwin" if lack == "sys.platform" else lambda *_, **__: object()
    monkeypatch.setattr(lack, instead)
    assert not files.swap_folders(tmp_path / "a", tmp_path / "b")
    assert [next((tmp_path / name).iterdir()).name for name in ("a", "b")] == ["a", "b"]


def test_a_file_is_synced_before_the_rename_and_its_folder_after_it(
    tmp_path: Path, disk_calls: list[DiskCall]
) -> None:
    (tmp_path / "temporary").write_bytes(b"rows")
    (tmp_path / "out").mkdir()
    final = tmp_path / "out" / "final"
    files.publish_file(tmp_path / "temporary", final)
    assert disk_calls == [sync_call(final), move_call(final), sync_call(final.parent)]


def test_publishing_replaces_an_existing_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("new", encoding="utf-8")
    (tmp_path / "b").write_text("old", encoding="utf-8")
    files.publish_file(tmp_path / "a", tmp_path / "b")
    assert [p.name for p in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b").read_text(encoding="utf-8") == "new"


def test_a_stamp_changes_with_size_and_time_and_needs_a_file(target: Path) -> None:
    os.utime(target, ns=(5, 7))
    assert files.file_stamp(target) == (3, 7)
    assert files.file_stamp(str(target)) == (3, 7)
    with pytest.raises(FileNotFoundError):
        files.file_stamp(target.with_name("missing"))
