"""Any table can be read in blocks; several files make one table."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from fieldcraft.core.errors import DataError
from fieldcraft.data.blocks.base import InMemoryBlocks, ReadOptions, TableBlocks
from fieldcraft.data.blocks.read import ConcatenatedBlocks, file_stamps, open_blocks
from fieldcraft.data.read import read_table

FRAME = pl.DataFrame({"a": range(60), "b": [f"w{i}" for i in range(60)]})


def csvs(folder: Path) -> str:
    for number in (1, 2, 10):
        FRAME.with_columns(a=pl.lit(number)).write_csv(folder / f"t{number}.csv")
    (folder / "t2.csv").write_text("b,a\nx,1\nlonely\ny,2\n" + "z,3\n" * 200, encoding="utf-8")
    return str(folder)


def parquets(folder: Path) -> str:
    FRAME.write_parquet(folder / "p1.parquet")
    FRAME.select("b", "a").write_parquet(folder / "p2.parquet")
    return str(folder / "p*.parquet")


def mixed_records(folder: Path) -> str:
    for name, value in (("one", 1), ("two", "x")):
        (folder / f"{name}.jsonl").write_text(
            f"{json.dumps({'a': value})}\n" * 99, encoding="utf-8"
        )
    return str(folder)


def zipped(folder: Path) -> str:
    with zipfile.ZipFile(folder / "t.zip", "w") as archive:
        archive.writestr("t.csv", FRAME.write_csv())
    return str(folder / "t.zip")


def database(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "t.db")) as db, db:
        db.execute("CREATE TABLE t (a INTEGER, b TEXT)")
        db.executemany("INSERT INTO t VALUES (?, ?)", FRAME.rows())
    return f"sqlite:///{folder / 't.db'}?table=t"


def concat_blocks(blocks: TableBlocks) -> pl.DataFrame:
    return pl.concat([blocks.read_block(number).frame for number in range(len(blocks.sizes))])


@pytest.mark.parametrize(
    ("make", "blocks_type"),
    [
        (csvs, ConcatenatedBlocks),
        (parquets, ConcatenatedBlocks),
        (mixed_records, InMemoryBlocks),
        (zipped, InMemoryBlocks),
        (database, InMemoryBlocks),
    ],
)
def test_blocks_of_any_table_make_the_table(
    tmp_path: Path, make: Callable[[Path], str], blocks_type: type
) -> None:
    (tmp_path / "in").mkdir()
    source = make(tmp_path / "in")
    blocks = open_blocks(source, ReadOptions(100), tmp_path / "scratch")
    assert isinstance(blocks, blocks_type)
    assert len(blocks.sizes) > 1
    assert concat_blocks(blocks).equals(read_table(source).frame)


def test_a_folder_with_a_single_file_is_that_file(tmp_path: Path) -> None:
    FRAME.write_csv(tmp_path / "t.csv")
    blocks = open_blocks(tmp_path, ReadOptions(100), tmp_path.parent / "scratch")
    assert not isinstance(blocks, ConcatenatedBlocks | InMemoryBlocks)
    assert concat_blocks(blocks).equals(read_table(tmp_path / "t.csv").frame)


def test_the_stamps_of_a_folder_change_with_each_of_its_images(tmp_path: Path) -> None:
    for name in ("cats/1.png", "dogs/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    before = file_stamps(tmp_path)
    assert sorted(path for path, *_ in before) == sorted(map(str, tmp_path.rglob("*.png")))
    Image.new("RGB", (64, 64), "red").save(tmp_path / "dogs/2.png")
    after = file_stamps(tmp_path)
    changed = {old[0] for old, new in zip(before, after, strict=True) if old != new}
    assert changed == {str(tmp_path / "dogs/2.png")}


def test_rejected_lines_name_their_file(tmp_path: Path) -> None:
    blocks = open_blocks(csvs(tmp_path), ReadOptions(100), tmp_path / "scratch")
    result = [reject for n in range(len(blocks.sizes)) for reject in blocks.read_block(n).rejects]
    assert [str(reject) for reject in result] == ["t2.csv line 3 (1 cell instead of 2)"]


def test_files_of_other_columns_are_refused(tmp_path: Path) -> None:
    csvs(tmp_path)
    (tmp_path / "t11.csv").write_text("a,c\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match="does not have the columns of the other files"):
        open_blocks(tmp_path, ReadOptions(100), tmp_path / "scratch")
    with pytest.raises(DataError, match="there is no file"):
        open_blocks(tmp_path / "none.csv", ReadOptions(100), tmp_path / "scratch")
