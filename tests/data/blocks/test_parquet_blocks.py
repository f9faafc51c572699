"""Parquet files in blocks: the same cells, only the selected columns, photos as files."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.blocks.base import ReadOptions
from fieldcraft.data.blocks.parquet_blocks import open_parquet_blocks
from tests.data.blocks.comparison import read_at_once, read_in_blocks

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rows = 2_500
    frame = pl.DataFrame(
        {
            "n": range(rows),
            "price": [Decimal("1.50")] * rows,
            "at": [time(1, 2)] * rows,
            "day": [date(2026, 1, 1), None] * (rows // 2),
            "word": [f"w{i % 7}" for i in range(rows)],
        }
    )
    frame.write_parquet(tmp_path / "t.parquet", row_group_size=700)
    return tmp_path / "t.parquet"


@pytest.mark.parametrize("size", [1, 20_000, 10**7])
def test_blocks_give_the_same_cells_as_the_whole_file(path: Path, size: int) -> None:
    if size == 1:
        pl.read_parquet(path).head(9).write_parquet(path)
    assert read_in_blocks(path, size) == read_at_once(path)


def test_only_selected_columns_are_read(path: Path) -> None:
    blocks = open_parquet_blocks(path, "t.parquet", ReadOptions(10_000, frozenset({"word", "n"})))
    assert blocks.columns == ("n", "price", "at", "day", "word")
    assert blocks.read_block(1).frame.columns == ["n", "word"]
    assert blocks.read_block(1).frame["n"][0] == blocks.sizes[0] >= 1_000
    renamed = open_parquet_blocks(path, "t", ReadOptions(10**6, frozenset({"e"}), tuple("abcde")))
    assert renamed.read_block(0).frame["e"][8] == "w1"


def test_a_photo_in_a_late_block_makes_all_cells_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIELDCRAFT_CACHE", str(tmp_path / "cache"))
    cells = [b"none"] * 300 + [PNG] + [None] * 300
    pl.DataFrame({"photo": cells}).write_parquet(tmp_path / "p.parquet")
    assert read_in_blocks(tmp_path / "p.parquet", 100) == read_at_once(tmp_path / "p.parquet")


@pytest.mark.parametrize("cells", [[b"none"] * 300, [None] * 300])
def test_other_bytes_are_refused_as_when_read_at_once(
    tmp_path: Path, cells: list[bytes | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIELDCRAFT_CACHE", str(tmp_path / "cache"))
    column = pl.Series("photo", cells, dtype=pl.Binary)
    pl.DataFrame([column]).write_parquet(tmp_path / "p.parquet")
    result = read_in_blocks(tmp_path / "p.parquet", 100)
    assert result == read_at_once(tmp_path / "p.parquet")
    assert "some columns do not hold single values" in str(result)


def test_an_empty_table_and_a_damaged_file(tmp_path: Path, path: Path) -> None:
    pl.read_parquet(path).clear().write_parquet(tmp_path / "e.parquet")
    assert (
        open_parquet_blocks(tmp_path / "e.parquet", "e", ReadOptions(9)).read_block(0).frame.height
        == 0
    )
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        open_parquet_blocks(path, "t.parquet", ReadOptions(9))
