"""Parts of long work: whole or not there, of one key only, and of one process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.core.resumable import ResumableParts, open_resumable_parts, publish_file
from tests.core.conftest import DiskCall, move_call, sync_call


def make_writer(text: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    return write


def test_parts_stay_until_the_work_ends_well(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with pytest.raises(KeyError), open_resumable_parts(out, "one") as parts:  # noqa: PT012
        parts.add(3, make_writer("x"), {"rows": 1})
        raise KeyError
    with open_resumable_parts(out, "one") as parts:
        assert parts.is_complete(3)
        assert not parts.is_complete(2)
        assert parts.data_path(3).read_text(encoding="utf-8") == "x"
        assert parts.load_metadata(3) == {"rows": 1}
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_fails_half_way_is_none(tmp_path: Path) -> None:
    def half(path: Path) -> None:
        path.write_text("half", encoding="utf-8")
        raise OSError("disk full")

    with (
        pytest.raises(OSError, match="disk full"),
        open_resumable_parts(tmp_path / "o", "k") as parts,
    ):
        parts.add(0, half, {})
    with open_resumable_parts(tmp_path / "o", "k") as parts:
        assert not parts.is_complete(0)
        assert not parts.data_path(0).exists()


def test_parts_of_another_key_are_removed(tmp_path: Path) -> None:
    for key in ("zero", "old", "new"):
        with pytest.raises(KeyError), open_resumable_parts(tmp_path / "out", key) as parts:  # noqa: PT012
            assert not parts.is_complete(0)
            parts.add(0, make_writer("x"), {})
            raise KeyError
    assert [p.name for p in (tmp_path / ".out.parts").iterdir() if p.is_dir()] == ["new"]


def test_work_that_fails_before_its_first_part_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), open_resumable_parts(tmp_path / "out", "k"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_removal_that_was_killed_leaves_no_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        work = open_resumable_parts(tmp_path / "out", "k")
        work.__enter__().add(0, make_writer("x"), {})
        patched.setattr("shutil.rmtree", interrupted_rmtree)
        with pytest.raises(KeyboardInterrupt):
            work.__exit__(None, None, None)
    assert (tmp_path / ".out.parts").is_dir()
    with open_resumable_parts(tmp_path / "out", "k") as parts:
        assert not parts.is_complete(0)
    assert list(tmp_path.iterdir()) == []


def interrupted_rmtree(path: Path, ignore_errors: bool = False) -> None:
    if not ignore_errors:
        raise KeyboardInterrupt


def test_two_cannot_work_at_once(tmp_path: Path) -> None:
    with (
        open_resumable_parts(tmp_path / "out", "k"),
        pytest.raises(DataError, match="another process is writing out"),
        open_resumable_parts(tmp_path / "out", "k"),
    ):
        pass


def test_putting_in_place_replaces(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("new", encoding="utf-8")
    (tmp_path / "b").write_text("old", encoding="utf-8")
    publish_file(tmp_path / "a", tmp_path / "b")
    assert [p.name for p in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b").read_text(encoding="utf-8") == "new"


def test_a_part_is_on_the_disk_before_its_name_and_its_record_comes_last(
    tmp_path: Path, disk_calls: list[DiskCall]
) -> None:
    parts = ResumableParts(tmp_path)
    parts.add(7, make_writer("content"), {"rows": 2})
    part, record = tmp_path / "00000007.part", tmp_path / "00000007.json"
    calls = [
        sync_call(part),
        move_call(part),
        sync_call(record),
        move_call(record),
        sync_call(tmp_path),
    ]
    assert disk_calls == calls
    assert {path.name for path in tmp_path.iterdir()} == {part.name, record.name}


@pytest.mark.parametrize("lost", ["part", "json"])
def test_a_part_counts_only_with_its_file_and_its_record(tmp_path: Path, lost: str) -> None:
    parts = ResumableParts(tmp_path)
    parts.add(0, make_writer("x"), {})
    assert parts.is_complete(0)
    (tmp_path / f"00000000.{lost}").unlink()
    assert not parts.is_complete(0)


def test_an_output_is_on_the_disk_before_its_name_and_its_name_before_it_returns(
    tmp_path: Path, disk_calls: list[DiskCall]
) -> None:
    (tmp_path / "aside").write_bytes(b"rows")
    (tmp_path / "out").mkdir()
    final = tmp_path / "out" / "final"
    publish_file(tmp_path / "aside", final)
    assert disk_calls == [sync_call(final), move_call(final), sync_call(final.parent)]


def test_the_lock_is_held_until_the_work_ends_and_names_its_output(tmp_path: Path) -> None:
    with open_resumable_parts(tmp_path / "out", "k"):
        with pytest.raises(DataError) as caught, open_resumable_parts(tmp_path / "out", "k"):
            pass
        assert caught.value.detail == str(tmp_path / ".out.parts")
        with open_resumable_parts(
            tmp_path / "other", "k"
        ) as parts:  # another output has its own lock
            assert parts.folder == tmp_path / ".other.parts" / "k"
    with open_resumable_parts(tmp_path / "out", "k"):
        pass
