"""Photos in cells become files, each written once."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fieldcraft.core import catalog
from fieldcraft.core.errors import DataError
from fieldcraft.data import embedded_files
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.data.dataframes import to_polars
from fieldcraft.data.read import read_table
from fieldcraft.data.sources import parquet
from tests.images import draw_image

ENDINGS = {
    "JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif",
}  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FIELDCRAFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def image_bytes(seed: int, form: str = "PNG") -> bytes:
    stream = io.BytesIO()
    draw_image(seed).save(stream, form)
    return stream.getvalue()


def cached_files(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize("form", ENDINGS)
def test_image_formats_are_detected_by_their_first_bytes(form: str) -> None:
    assert embedded_files.image_suffix(image_bytes(0, form)) == ENDINGS[form]


@pytest.mark.parametrize("slice_", [2, 256])
def test_photos_in_parquet_become_file_names(
    tmp_path: Path, cache: Path, slice_: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "IMAGE_ROWS_AT_ONCE", slice_)
    bodies = [
        image_bytes(0),
        image_bytes(1, "JPEG"),
        None,
        image_bytes(0),
        b"no photo",
        b"",
        None,
        None,
    ]
    photos = pl.Series("photo", bodies, dtype=pl.Binary)
    table = pl.DataFrame([photos, pl.Series("y", list("abababab"))])
    table.write_parquet(tmp_path / "t.parquet", row_group_size=3)
    cells = read_table(tmp_path / "t.parquet").frame["photo"]
    assert [None if c is None else Path(c).read_bytes() for c in cells] == bodies
    assert cells[0] == cells[3]
    assert len(cached_files(cache)) == 4
    guess = catalog.load_plugin("kinds", "image").infer(ColumnProfile(cells))
    assert guess is not None
    values = catalog.load_plugin("kinds", "image").parse(cells, {})
    assert values.is_not_null().to_list() == [True, True, False, True, *[False] * 4]


def test_records_of_bytes_and_path_use_either(tmp_path: Path) -> None:
    (tmp_path / "other.png").write_bytes(image_bytes(7))
    cells: list[Any] = [
        {"bytes": image_bytes(0), "path": "a.png"}, {"bytes": None, "path": "other.png"}, None,
    ]  # fmt: skip
    kind = pl.Struct({"bytes": pl.Binary, "path": pl.String})
    result = to_polars(pl.DataFrame({"image": pl.Series(cells, dtype=kind)}))["image"].to_list()
    assert Path(str(result[0])).read_bytes() == image_bytes(0)
    assert result[1:] == ["other.png", None]


def test_photos_in_pandas_become_file_names() -> None:
    pandas = pytest.importorskip("pandas")
    result = to_polars(pandas.DataFrame({"image": [image_bytes(0), image_bytes(1)], "n": [1, 2]}))
    assert [Path(cell).read_bytes() for cell in result["image"]] == [image_bytes(0), image_bytes(1)]


def test_a_cached_file_is_written_again_only_if_incomplete(cache: Path) -> None:
    path = Path(embedded_files.cache_content(image_bytes(3)))
    before = path.stat().st_mtime_ns
    assert embedded_files.cache_content(image_bytes(3)) == str(path)
    assert path.stat().st_mtime_ns == before
    path.write_bytes(image_bytes(3)[:10])
    embedded_files.cache_content(image_bytes(3))
    assert path.read_bytes() == image_bytes(3)
    assert len(cached_files(cache)) == 1


def test_bytes_that_are_not_photos_are_refused(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pl.DataFrame({"n": [1, 2, 3, 4], "odd": [None, None, b"abc", b"PK\x03\x04"]})
    monkeypatch.setattr(parquet, "IMAGE_ROWS_AT_ONCE", 2)
    table.write_parquet(tmp_path / "t.parquet")
    for read in (lambda: to_polars(table), lambda: read_table(tmp_path / "t.parquet")):
        with pytest.raises(DataError, match="do not hold single values") as caught:
            read()
        assert caught.value.detail == "odd (Binary)"
        assert "photos" in caught.value.hint
    assert cached_files(cache) == []
