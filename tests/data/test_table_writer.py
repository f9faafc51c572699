"""Tables written part by part are complete; CSV files contain no formulas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.table_writer import TABLE_FORMATS, escape_formulas, find_format

READ: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": pl.read_csv,
    ".parquet": pl.read_parquet,
    ".jsonl": pl.read_ndjson,
}
TABLE = pl.DataFrame({"id": [f"k{i}" for i in range(500)], "p": [i / 7 for i in range(500)]})


@pytest.mark.parametrize("ending", TABLE_FORMATS)
def test_joined_parts_are_the_table_with_the_same_bytes_each_time(
    tmp_path: Path, ending: str
) -> None:
    form = find_format(tmp_path / f"x{ending}")
    cuts = [TABLE[:0], TABLE[:7], TABLE[7:400], TABLE[400:]]
    paths = [tmp_path / f"{number}.part" for number in range(4)]
    for number, (part, path) in enumerate(zip(cuts, paths, strict=True)):
        form.write(part, path, not number)
    for name in ("a", "b"):
        form.join(paths, tmp_path / name)
    assert READ[ending](tmp_path / "a").equals(TABLE)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_unknown_extension_is_an_error() -> None:
    with pytest.raises(DataError, match="cannot determine the format") as caught:
        find_format(Path("out.xlsx"))
    assert ".jsonl" in caught.value.hint


def test_texts_that_start_like_formulas_are_escaped() -> None:
    cells = ["=cmd|' /C calc'!A0", "@SUM(1)", "-5", "+3.5", "-x", "ok", None]
    result = escape_formulas(pl.DataFrame({"id": cells, "n": range(7)}))
    assert result["id"].to_list() == [
        "'=cmd|' /C calc'!A0", "'@SUM(1)", "-5", "+3.5", "'-x", "ok", None,
    ]  # fmt: skip
