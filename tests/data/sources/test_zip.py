"""The tables in archives are read; unsafe names and decompression bombs are refused."""

from __future__ import annotations

import gzip
import io
import stat
import zipfile
from pathlib import Path

import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data import decompression
from fieldcraft.data.location import SourceLocation
from fieldcraft.data.source import ReadResult
from fieldcraft.data.sources.zip import SOURCE

CSV = b"a,b\n1,x\n"


def packed(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def read(data: bytes, folder: Path) -> ReadResult:
    (folder / "t.zip").write_bytes(data)
    return SOURCE.read(SourceLocation(str(folder / "t.zip")), ())


def test_the_only_table_is_found_among_other_files(tmp_path: Path) -> None:
    members = {
        "in/t.csv": CSV, "__MACOSX/in/._t.csv": b"\0\1", ".DS_Store": b"\0", "in/readme.md": b"hi",
    }  # fmt: skip
    result = read(packed(members), tmp_path)
    assert result.frame.rows() == [("1", "x")]
    assert result.notes == ("ignored, not a table: in/readme.md",)


def test_several_files_of_the_same_columns_make_one_table(tmp_path: Path) -> None:
    members = {
        "p10.csv": b"a,b\n10,x\n",
        "p9.csv.gz": gzip.compress(b"a,b\n9,x\n"),
        "p1.tsv": b"a\tb\n1\tx\n",
    }
    assert read(packed(members), tmp_path).frame["a"].to_list() == ["1", "9", "10"]


def test_errors_in_a_member_name_the_archive(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.csv in t\.zip does not have the columns"):
        read(packed({"a.csv": CSV, "b.csv": CSV, "in/x.csv": b"a,c\n1,2\n"}), tmp_path)


@pytest.mark.parametrize("members", [{}, {"readme.md": b"hi"}, {"in.zip": packed({"t.csv": CSV})}])
def test_the_error_for_an_archive_without_a_table_lists_its_members(
    members: dict[str, bytes], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"no table in t\.zip") as caught:
        read(packed(members), tmp_path)
    assert (list(members) or ["nothing"])[0] in caught.value.detail


@pytest.mark.parametrize(
    "name", ["../t.csv", "/etc/t.csv", "a/../../t.csv", "C:\\t.csv", "..\\t.csv"]
)
def test_names_that_lead_out_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leads out of the archive") as caught:
        read(packed({"t.csv": CSV, name: CSV}), tmp_path)
    assert caught.value.detail == name


def test_links_are_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    link = zipfile.ZipInfo("t.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="is a link"):
        read(stream.getvalue(), tmp_path)


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    data = bytearray(packed({"t.csv": CSV}))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1
    with pytest.raises(DataError, match="is encrypted"):
        read(bytes(data), tmp_path)


def test_two_members_of_the_same_name_are_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("t.csv", CSV)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("t.csv", CSV)
    with pytest.raises(DataError, match="two files of the same name"):
        read(stream.getvalue(), tmp_path)


def test_bombs_are_refused_and_other_members_are_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decompression, "MIN_BOMB_BYTES", 1 << 20)
    zeros = b"0" * (8 << 20)
    with pytest.raises(DataError, match=r"t\.zip decompresses to far too much"):
        read(packed({"t.csv": zeros}), tmp_path)
    assert read(packed({"t.csv": CSV, "photo.bmp": zeros}), tmp_path).frame.height == 1


def test_a_member_larger_than_declared_is_damaged(tmp_path: Path) -> None:
    data = bytearray(packed({"t.csv": CSV * 100}))
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = data.index(mark) + at
        data[start : start + 4] = (8).to_bytes(4, "little")
    with pytest.raises(DataError, match=r"t\.zip cannot be unpacked"):
        read(bytes(data), tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_methods_and_their_damage(method: int, tmp_path: Path) -> None:
    data = bytearray(packed({"t.csv": CSV * 50}, method))
    assert read(bytes(data), tmp_path).frame.height > 1
    data[60:90] = bytes(30)
    with pytest.raises(DataError, match=r"t\.zip cannot be unpacked"):
        read(bytes(data), tmp_path)
