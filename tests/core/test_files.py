"""Files and folders are whole or not there, and a lock keeps others out."""

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
    files.atomic_write_text(tmp_path / "a" / "b" / "c.txt", "é\n")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "é\n".encode()


def test_a_write_replaces_and_leaves_nothing_beside(target: Path) -> None:
    files.atomic_write_bytes(target, b"new")
    assert target.read_bytes() == b"new"
    assert list(target.parent.iterdir()) == [target]


def test_a_write_is_on_the_disk_before_its_name_and_its_name_before_it_returns(
    target: Path, disk_calls: list[DiskCall]
) -> None:
    files.atomic_write_bytes(target, b"new content")
    assert disk_calls == [sync_call(target), move_call(target), sync_call(target.parent)]
    assert disk_calls[0][2] == len(b"new content")  # nothing waits in a buffer


@pytest.mark.parametrize("number", ["os.getpid", "threading.get_ident"])
def test_two_processes_or_threads_that_write_a_file_do_not_share_what_is_half_written(
    target: Path, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def write_meanwhile(handle: int) -> None:
        monkeypatch.setattr(os, "fsync", sync)
        monkeypatch.setattr(number, lambda: 1)
        files.atomic_write_bytes(target, b"other")

    monkeypatch.setattr(os, "fsync", write_meanwhile)
    files.atomic_write_bytes(target, b"mine")
    assert target.read_bytes() == b"mine"
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
def test_a_write_that_fails_leaves_the_old_content_and_nothing_beside(target: Path) -> None:
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


def test_a_folder_appears_only_when_its_block_ends_well(tmp_path: Path) -> None:
    final = tmp_path / "runs" / "final"
    with files.atomic_folder(final) as aside:
        (aside / "inner").mkdir()
        (aside / "inner" / "a").write_text("new", encoding="utf-8")
        assert not final.exists()
    assert (final / "inner" / "a").read_text(encoding="utf-8") == "new"
    assert list(final.parent.iterdir()) == [final]


def test_a_new_folder_replaces_the_old_one_entirely(target: Path) -> None:
    old = target.parent
    with files.atomic_folder(old) as aside:
        (aside / "new").write_text("new", encoding="utf-8")
    assert [path.name for path in old.iterdir()] == ["new"]
    assert list(old.parent.iterdir()) == [old]


def test_a_block_that_raises_leaves_the_old_folder(target: Path) -> None:
    old = target.parent

    def fill_half() -> None:
        with files.atomic_folder(old) as aside:
            (aside / "new").write_text("new", encoding="utf-8")
            raise RuntimeError("stopped half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        fill_half()
    assert [path.name for path in old.iterdir()] == ["target"]
    assert list(old.parent.iterdir()) == [old]


def test_what_a_killed_process_left_aside_does_not_get_into_the_folder(tmp_path: Path) -> None:
    final = tmp_path / "final"
    with files.atomic_folder(final) as aside:
        left = aside
    left.mkdir()
    (left / "torn").write_text("half", encoding="utf-8")
    with files.atomic_folder(final) as aside:
        (aside / "whole").write_text("all", encoding="utf-8")
    assert [path.name for path in final.iterdir()] == ["whole"]


def test_two_processes_that_fill_a_folder_do_not_share_what_is_half_filled(
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
    """Another process that asks for the lock and waits for its input to end."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK_SCRIPT, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def read_has_lock(stream: IO[str] | None) -> bool:
    """Whether the other process has the lock, by its first line."""
    assert stream is not None
    return bool(json.loads(stream.readline().lower()))


def test_a_lock_keeps_a_second_process_out_until_the_first_ends(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "lock"
    with start_lock_holder(path) as other:
        assert read_has_lock(other.stdout)
        with files.try_lock(path) as alone:
            assert not alone
        other.kill()  # however it ends
        other.wait()
    with files.try_lock(path) as alone:
        assert alone
        with start_lock_holder(path) as other:
            assert not read_has_lock(other.stdout)


def test_a_lock_is_free_when_its_block_ends_also_with_an_error(tmp_path: Path) -> None:
    path = tmp_path / "new" / "runs" / "lock"
    with pytest.raises(RuntimeError, match="stopped"), files.try_lock(path):
        raise RuntimeError("stopped")
    with files.try_lock(path) as alone, files.try_lock(path) as again:
        assert (alone, again) == (True, False)


def test_a_folder_is_replaced_without_a_moment_in_which_it_is_missing(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    for folder in (new, old):
        folder.mkdir()
        (folder / "name").write_text(folder.name, encoding="utf-8")
    assert files.swap_folders(new, old) == sys.platform.startswith("linux")
    files.replace_folder(new, tmp_path / "final")
    assert [path.name for path in (tmp_path / "final").iterdir()] == ["name"]


@pytest.mark.parametrize("swaps", [True, False])
def test_a_committed_folder_takes_the_place_of_the_old_one(
    tmp_path: Path, swaps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not swaps:
        monkeypatch.setattr(files, "swap_folders", lambda one, other: False)
    for name in ("aside", "final"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "content").write_text(name, encoding="utf-8")
    files.replace_folder(tmp_path / "aside", tmp_path / "final")
    assert (tmp_path / "final" / "content").read_text(encoding="utf-8") == "aside"
    assert [path.name for path in tmp_path.iterdir()] == ["final"]


def no_exchange(one: Path, other: Path) -> bool:
    return False


def exchange_recorded(calls: list[DiskCall]) -> Callable[[Path, Path], bool]:
    exchange = files.swap_folders

    def record(one: Path, other: Path) -> bool:
        calls.append(move_call(one))
        return exchange(one, other)

    return record


@pytest.mark.parametrize("before", ["nothing", "swapped", "moved away"])
def test_all_of_a_folder_is_on_the_disk_before_its_name_and_its_name_before_the_old_one_goes(
    tmp_path: Path, before: str, disk_calls: list[DiskCall], monkeypatch: pytest.MonkeyPatch
) -> None:
    swaps = before == "swapped" and sys.platform.startswith("linux")
    way = exchange_recorded(disk_calls) if swaps else no_exchange
    monkeypatch.setattr(files, "swap_folders", way)
    aside, final = tmp_path / "aside", tmp_path / "runs" / "now" / "final"
    (aside / "inner").mkdir(parents=True)
    (aside / "a").write_bytes(b"first")
    (aside / "inner" / "b").write_bytes(b"second")
    if before != "nothing":
        final.mkdir(parents=True)
    old = [move_call(final)] if before != "nothing" and not swaps else []
    files.replace_folder(aside, final)
    below = {sync_call(path) for path in final.rglob("*")}
    assert set(disk_calls[:3]) == below
    assert disk_calls[3:] == [sync_call(final), *old, move_call(final), sync_call(final.parent)]


def test_an_old_folder_that_a_crash_left_behind_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "swap_folders", no_exchange)
    for name in ("aside", "final", ".final.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name, encoding="utf-8")
    files.replace_folder(tmp_path / "aside", tmp_path / "final")
    assert [path.name for path in tmp_path.rglob("*")] == ["final", "aside"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="renameat2 is of Linux")
def test_folders_that_are_exchanged_have_each_the_content_of_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name / name).mkdir(parents=True)
    assert files.swap_folders(Path("a"), Path("b"))
    assert [next((tmp_path / name).iterdir()).name for name in ("a", "b")] == ["b", "a"]
    assert not files.swap_folders(Path("a"), Path("gone"))


@pytest.mark.parametrize("lack", ["sys.platform", "ctypes.CDLL"])
def test_where_the_system_cannot_exchange_folders_nothing_is_moved(
    tmp_path: Path, lack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name / name).mkdir(parents=True)
    instead = "darwin" if lack == "sys.platform" else lambda *_, **__: object()
    monkeypatch.setattr(lack, instead)
    assert not files.swap_folders(tmp_path / "a", tmp_path / "b")
    assert [next((tmp_path / name).iterdir()).name for name in ("a", "b")] == ["a", "b"]
