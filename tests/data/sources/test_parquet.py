"""Parquet files keep their types; nested types are refused."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from fieldcraft.core.errors import DataError
from fieldcraft.data.location import SourceLocation
from fieldcraft.data.sources.parquet import SOURCE

FRAME = pl.DataFrame({"age": [31, None], "name": ["Zoë", None]})


def test_a_name_that_looks_like_a_pattern_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "age=1" / "people[1].parquet"
    path.parent.mkdir()
    FRAME.write_parquet(path)
    assert_frame_equal(SOURCE.read(SourceLocation(str(path)), ()).frame, FRAME)


def test_columns_of_lists_are_refused_by_name(tmp_path: Path) -> None:
    pl.DataFrame({"tags": [["a", "b"]]}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="do not hold single values") as caught:
        SOURCE.read(SourceLocation(str(tmp_path / "t.parquet")), ())
    assert caught.value.detail.startswith("tags")


def test_text_with_a_parquet_extension_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"t\.parquet cannot be read as Parquet"):
        SOURCE.read(SourceLocation(str(tmp_path / "t.parquet")), ())
