"""Parts are complete or absent, and belong to one key and one process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.core.resumable import ResumableParts, open_resumable_parts
from tests.core.conftest import DiskCall, move_call, sync_call


def make_writer(text: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    return write


def test_parts_are_kept_until_the_job_succeeds(tmp_path: Path) -> None:
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


def test_a_part_that_fails_half_way_is_not_complete(tmp_path: Path) -> None:
    def write_half(path: Path) -> None:
        path.write_text("half", encoding="utf-8")
        raise OSError("disk full")

    with (
        pytest.raises(OSError, match="disk full"),
        open_resumable_parts(tmp_path / "o", "k") as parts,
    ):
        parts.add(0, write_half, {})
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


def test_a_job_that_fails_before_its_first_part_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), open_resumable_parts(tmp_path / "out", "k"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_removal_that_was_killed_leaves_no_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        job = open_resumable_parts(tmp_path / "out", "k")
        job.__enter__().add(0, make_writer("x"), {})
        patched.setattr("shutil.rmtree", interrupted_rmtree)
        with pytest.raises(KeyboardInterrupt):
            job.__exit__(None, None, None)
    assert (tmp_path / ".out.parts").is_dir()
    with open_resumable_parts(tmp_path / "out", "k") as parts:
        assert not parts.is_complete(0)
    assert list(tmp_path.iterdir()) == []


def interrupted_rmtree(path: Path, ignore_errors: bool = False) -> None:
    if not ignore_errors:
        raise KeyboardInterrupt


def test_a_second_job_on_the_same_output_is_refused(tmp_path: Path) -> None:
    with (
        open_resumable_parts(tmp_path / "out", "k"),
        pytest.raises(DataError, match="another process is writing out"),
        open_resumable_parts(tmp_path / "out", "k"),
    ):
        pass


def test_data_is_synced_before_its_rename_and_metadata_comes_last(
    tmp_path: Path, disk_calls: list[DiskCall]
) -> None:
    parts = ResumableParts(tmp_path)
    parts.add(7, make_writer("content"), {"rows": 2})
    data, metadata = tmp_path / "00000007.part", tmp_path / "00000007.json"
    calls = [
        sync_call(data),
        move_call(data),
        sync_call(metadata),
        move_call(metadata),
        sync_call(tmp_path),
    ]
    assert disk_calls == calls
    assert {path.name for path in tmp_path.iterdir()} == {data.name, metadata.name}


@pytest.mark.parametrize("lost", ["part", "json"])
def test_a_part_is_complete_only_with_data_and_metadata(tmp_path: Path, lost: str) -> None:
    parts = ResumableParts(tmp_path)
    parts.add(0, make_writer("x"), {})
    assert parts.is_complete(0)
    (tmp_path / f"00000000.{lost}").unlink()
    assert not parts.is_complete(0)


def test_the_lock_is_held_until_the_job_ends(tmp_path: Path) -> None:
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
