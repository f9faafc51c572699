from __future__ import annotations

import base64
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data import file_cells
from tests.images import save_image

BODY = b"what is in the file"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as stream:
        stream.writestr("cats/1.jpg", BODY)
    return path


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a local server that serves a folder."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "1.jpg").write_bytes(BODY)
    monkeypatch.setenv("FIELDCRAFT_CACHE", str(tmp_path / "cache"))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = partial(Quiet, directory=str(tmp_path / "served"))
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def test_paths_are_relative_to_the_folder_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n", "utf-8")
    assert file_cells.base_folder(tmp_path / "t.csv") == tmp_path
    assert file_cells.base_folder(tmp_path) == tmp_path
    cells = pl.Series(
        "photo", ["a/1.jpg", "./2.jpg", "b\\3.jpg", "/x/4.jpg", None, "http://h/5.jpg"]
    )
    result = file_cells.resolve_paths(cells, tmp_path).to_list()
    assert result == [
        f"{tmp_path}/a/1.jpg", f"{tmp_path}/2.jpg", f"{tmp_path}/b/3.jpg", "/x/4.jpg", None,
        "http://h/5.jpg",
    ]  # fmt: skip


def test_paths_are_relative_to_the_archive_or_its_folder(archive: Path) -> None:
    cells = pl.Series("photo", ["cats/1.jpg", "dogs/1.jpg"])
    inside, beside = file_cells.resolve_paths(cells, file_cells.base_folder(archive)).to_list()
    assert inside == f"{archive}/cats/1.jpg"
    assert beside == f"{archive.parent}/dogs/1.jpg"
    assert file_cells.read_content(inside) == BODY


def test_only_file_columns_are_changed(tmp_path: Path) -> None:
    frame = pl.DataFrame({"photo": ["1.jpg"], "note": ["1.jpg"], "number": [1]})
    result = file_cells.resolve_file_columns(frame, ["photo", "number", "absent"], tmp_path)
    assert result.row(0) == (f"{tmp_path}/1.jpg", "1.jpg", 1)


def test_content_of_files_members_urls_and_data_urls(
    tmp_path: Path, archive: Path, server: str
) -> None:
    (tmp_path / "1.jpg").write_bytes(BODY)
    written = "data:image/jpeg;base64," + base64.b64encode(BODY).decode()
    addresses = [str(tmp_path / "1.jpg"), f"{archive}/cats/1.jpg", f"{server}/1.jpg", written]
    assert [file_cells.read_content(address) for address in addresses] == [BODY] * 4


def test_downloads_are_cached(tmp_path: Path, server: str) -> None:
    assert file_cells.read_content(f"{server}/1.jpg") == BODY
    (tmp_path / "served" / "1.jpg").unlink()
    assert file_cells.read_content(f"{server}/1.jpg") == BODY


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("nowhere/1.jpg", "no such file"),
        ("a\0b.jpg", "no such file"),
        ("data:image/png;base64,%%%", ""),
        ("http://127.0.0.1:9/1.jpg", "refused"),
        ("http://[bad/1.jpg", ""),
        ("{archive}/cats/2.jpg", "no such member"),
        ("{damaged}/cats/1.jpg", "zip"),
    ],
)
def test_an_unreadable_file_is_an_error(
    address: str, why: str, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIELDCRAFT_CACHE", str(archive.parent / "cache"))
    damaged = archive.with_name("damaged.zip")
    damaged.write_bytes(archive.read_bytes()[:40])
    with pytest.raises(DataError, match=r"cannot be") as caught:
        file_cells.read_content(address.format(archive=archive, damaged=damaged))
    assert why in caught.value.detail


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_in_a_compressed_member_is_an_error(method: int, tmp_path: Path) -> None:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w", method) as stream:
        stream.writestr("1.jpg", bytes(range(256)) * 20)
    data = bytearray(path.read_bytes())
    data[50:90] = bytes(40)  # the local header of the member ends at byte 35
    path.write_bytes(data)
    with pytest.raises(DataError, match="cannot be read"):
        file_cells.read_content(f"{path}/1.jpg")


def test_too_large_files_are_refused_from_all_sources(
    tmp_path: Path, archive: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1.jpg").write_bytes(BODY)
    addresses = (str(tmp_path / "1.jpg"), f"{archive}/cats/1.jpg", f"{server}/1.jpg")
    monkeypatch.setattr(file_cells, "MAX_FILE_BYTES", len(BODY) - 1)
    for address in addresses:
        with pytest.raises(DataError, match="too large"):
            file_cells.read_content(address)
    monkeypatch.setattr(file_cells, "MAX_FILE_BYTES", len(BODY))
    assert {file_cells.read_content(address) for address in addresses} == {BODY}


def test_copies_of_a_file_have_one_digest(tmp_path: Path) -> None:
    for name, body in (("1.jpg", BODY), ("2.jpg", BODY), ("3.jpg", b"other")):
        (tmp_path / name).write_bytes(body)
    cells = file_cells.resolve_paths(
        pl.Series("p", ["1.jpg", "2.jpg", "3.jpg", None, "4.jpg"]), tmp_path
    )
    first, copy, different, none, absent = file_cells.digest_contents(cells).to_list()
    assert first == copy != different
    assert none is None
    assert absent == f"{tmp_path}/4.jpg"


def test_a_stamp_changes_with_the_file(tmp_path: Path, archive: Path) -> None:
    path = tmp_path / "1.jpg"
    path.write_bytes(BODY)
    before = file_cells.content_stamp(str(path))
    path.write_bytes(b"another")
    assert file_cells.content_stamp(str(path)) != before
    assert file_cells.content_stamp(f"{archive}/cats/1.jpg")
    assert file_cells.content_stamp("nowhere") is None


def test_a_restricted_process_reads_data_urls_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = save_image(tmp_path / "a.png", 0)
    data = Path(photo).read_bytes()
    carried = "data:image/png;base64," + base64.b64encode(data).decode()
    monkeypatch.setattr(file_cells, "FILE_ACCESS", {"paths_and_urls": True})
    assert file_cells.read_content(photo) == data
    file_cells.allow_data_urls_only()
    assert file_cells.read_content(carried) == data
    for address in (photo, "http://localhost:9/a.png", f"{tmp_path}/a.zip/a.png"):
        with pytest.raises(DataError, match="cannot be read") as caught:
            file_cells.read_content(address)
        assert "not accepted" in str(caught.value)
    assert file_cells.content_stamp(photo) is None
