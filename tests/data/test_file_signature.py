"""Binary files are detected by their first bytes."""

from __future__ import annotations

import bz2
import io
import lzma
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from fieldcraft.data.file_signature import HEAD_BYTES, detect_format


@pytest.mark.parametrize("first", ["[Content_Types].xml", "docProps/app.xml", "xl/workbook.xml"])
def test_a_workbook_is_distinguished_from_other_archives(first: str) -> None:
    for name, description in ((first, "Excel"), ("table.csv", "ZIP")):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr(name, "x" * 50)
        known = detect_format(stream.getvalue()[:HEAD_BYTES])
        assert known is not None
        assert description in known.description


def test_real_files_of_other_programs_are_detected(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1]})
    frame.write_parquet(tmp_path / "p")
    frame.write_ipc(tmp_path / "f")
    with sqlite3.connect(tmp_path / "s") as db:
        db.execute("create table t (a)")
    db.close()
    (tmp_path / "x").write_text("text")
    with tarfile.open(tmp_path / "t", "w") as tar:
        tar.add(tmp_path / "x")
    descriptions = {}
    for name in "pfst":
        known = detect_format((tmp_path / name).read_bytes()[:HEAD_BYTES])
        assert known is not None
        descriptions[name] = known.description
    assert descriptions == {
        "p": "a Parquet file",
        "f": "a Feather or Arrow file",
        "s": "an SQLite database",
        "t": "a tar archive",
    }


@pytest.mark.parametrize("name", ["PNG", "JPEG", "GIF"])
def test_images_are_detected(name: str) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, name)
    known = detect_format(stream.getvalue()[:HEAD_BYTES])
    assert known is not None
    assert known.description == f"a {name} image"


@pytest.mark.parametrize(
    ("compress", "description"), [(lzma.compress, "an XZ file"), (bz2.compress, "a bzip2 file")]
)
def test_compressed_files_are_detected(
    compress: Callable[[bytes], bytes], description: str
) -> None:
    known = detect_format(compress(b"a,b\n1,2\n"))
    assert known is not None
    assert known.description == description


@pytest.mark.parametrize("head", [b"", b"a,b\n1,2\n", "ä;ö\n".encode(), b"PK,name\n1,x\n"])
def test_text_has_no_detected_format(head: bytes) -> None:
    assert detect_format(head) is None
