"""Parts of long work: whole or not there, of one key only, and of one process."""

from __future__ import annotations

from pathlib import Path

import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.core.parts import parts_of, put_in_place


def writer(text: str) -> object:
    return lambda path: path.write_text(text, encoding="utf-8")


def test_parts_stay_until_the_work_ends_well(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with pytest.raises(KeyError), parts_of(out, "one") as parts:  # noqa: PT012
        parts.add(3, writer("x"), {"rows": 1})  # type: ignore[arg-type]
        raise KeyError
    with parts_of(out, "one") as parts:
        assert parts.has(3)
        assert not parts.has(2)
        assert parts.path(3).read_text(encoding="utf-8") == "x"
        assert parts.about(3) == {"rows": 1}
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_fails_half_way_is_none(tmp_path: Path) -> None:
    def half(path: Path) -> None:
        path.write_text("half", encoding="utf-8")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), parts_of(tmp_path / "o", "k") as parts:
        parts.add(0, half, {})
    with parts_of(tmp_path / "o", "k") as parts:
        assert not parts.has(0)
        assert not parts.path(0).exists()


def test_parts_of_another_key_are_removed(tmp_path: Path) -> None:
    for key in ("old", "new"):
        with pytest.raises(KeyError), parts_of(tmp_path / "out", key) as parts:  # noqa: PT012
            assert not parts.has(0)
            parts.add(0, writer("x"), {})  # type: ignore[arg-type]
            raise KeyError
    assert [p.name for p in (tmp_path / ".out.parts").iterdir() if p.is_dir()] == ["new"]


def test_work_that_fails_before_its_first_part_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), parts_of(tmp_path / "out", "k"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_removal_that_was_killed_leaves_no_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        work = parts_of(tmp_path / "out", "k")
        work.__enter__().add(0, writer("x"), {})  # type: ignore[arg-type]
        patched.setattr("shutil.rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            work.__exit__(None, None, None)
    assert (tmp_path / ".out.parts").is_dir()
    with parts_of(tmp_path / "out", "k") as parts:
        assert not parts.has(0)
    assert list(tmp_path.iterdir()) == []


def interrupted(path: Path, ignore_errors: bool = False) -> None:
    if not ignore_errors:
        raise KeyboardInterrupt


def test_two_cannot_work_at_once(tmp_path: Path) -> None:
    with (
        parts_of(tmp_path / "out", "k"),
        pytest.raises(DataError, match="another process is writing out"),
        parts_of(tmp_path / "out", "k"),
    ):
        pass


def test_putting_in_place_replaces(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("new", encoding="utf-8")
    (tmp_path / "b").write_text("old", encoding="utf-8")
    put_in_place(tmp_path / "a", tmp_path / "b")
    assert [p.name for p in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b").read_text(encoding="utf-8") == "new"
