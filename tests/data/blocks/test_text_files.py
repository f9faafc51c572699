"""Seekable copies of text files: decompressed, in UTF-8, and complete."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data import text_encoding
from fieldcraft.data.blocks import text_files
from fieldcraft.data.blocks.text_files import (
    decode_lines,
    decompressed_copy,
    detect_file_encoding,
    utf8_copy,
)
from fieldcraft.data.location import SourceLocation


@pytest.mark.parametrize(
    "data",
    [
        "Zoë\n".encode() * 30,
        b"\xef\xbb\xbf" + "Zoë\n".encode() * 30,
        b"Zo\xeb\n" * 30,
        b"Zo\xeb\n\x81\n" * 30,  # a byte that means nothing in cp1252
        "Zoë\n".encode() * 30 + b"Zo\xeb\n",
        b"Zo\xeb\n" * 300 + "Zoë\n".encode(),
    ],
)
def test_decoding_in_blocks_equals_decoding_at_once(
    tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "READ_BLOCK_BYTES", 50)
    (tmp_path / "t.csv").write_bytes(data)
    coding = detect_file_encoding(tmp_path / "t.csv")
    assert (
        decode_lines(data, coding, is_file_start=True)
        == text_encoding.decode_text(data, "t.csv").text
    )


def test_a_plain_file_is_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    assert decompressed_copy(SourceLocation(str(path)), tmp_path / "s") == path
    assert utf8_copy(path, SourceLocation(str(path)), tmp_path / "s") == path
    assert not (tmp_path / "s").exists()


def test_a_character_that_is_cut_off_at_the_end_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("a,b\n1,2\n".encode("utf-16") + b"\x33")
    copy = utf8_copy(path, SourceLocation(str(path)), tmp_path / "s")
    assert copy.read_text(encoding="utf-8-sig") == "a,b\n1,2\n\N{REPLACEMENT CHARACTER}"


def test_a_copy_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n"))
    copy = decompressed_copy(SourceLocation(str(path)), tmp_path / "s")
    assert copy.read_bytes() == b"a,b\n"
    path.write_bytes(path.read_bytes()[:2])  # an existing copy is not made again
    assert decompressed_copy(SourceLocation(str(path)), tmp_path / "s") == copy


def test_the_name_of_a_copy_fits_the_limit_of_the_file_system(tmp_path: Path) -> None:
    path = tmp_path / ("表" * 80) / "数据.csv.gz"  # 240 bytes in the name of the folder alone
    path.parent.mkdir()
    path.write_bytes(gzip.compress(b"a,b\n"))
    copy = decompressed_copy(SourceLocation(str(path)), tmp_path / "s")
    assert copy.read_bytes() == b"a,b\n"
    assert copy.name.endswith("表%s数据.csv.gz.unpacked")


def test_damaged_archives_and_bombs_leave_no_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" * 9_000)[:-9])
    with pytest.raises(DataError, match="cannot be unpacked"):
        decompressed_copy(SourceLocation(str(path)), tmp_path / "s")
    path.write_bytes(gzip.compress(b"0" * 3_000_000))
    monkeypatch.setattr(text_files, "MIN_BOMB_BYTES", 1_000)
    monkeypatch.setattr("fieldcraft.data.decompression.MIN_BOMB_BYTES", 1_000)
    with pytest.raises(DataError, match="decompresses to far too much"):
        decompressed_copy(SourceLocation(str(path)), tmp_path / "s")
    assert [p.name for p in (tmp_path / "s").glob("*") if not p.name.endswith(".tmp")] == []


def test_binary_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9)
    with pytest.raises(DataError, match="is not a text file"):
        utf8_copy(path, SourceLocation(str(path)), tmp_path / "s")


@pytest.mark.parametrize(("old", "coding"), [(19, "utf-8"), (20, "cp1252"), (21, "cp1252")])
def test_five_percent_of_utf_8_lines_make_a_mixed_file(
    tmp_path: Path, old: int, coding: str
) -> None:
    (tmp_path / "t.csv").write_bytes("é\n".encode() + b"plain\n" * 99 + b"\xe9\n" * old)
    assert detect_file_encoding(tmp_path / "t.csv") == coding
