"""Files of one table are concatenated in order; one with other columns is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.concat import natural_sort_key, partition_tables, read_and_concat
from fieldcraft.data.location import SourceLocation
from fieldcraft.data.source import ReadResult

Write = Callable[[str, str | bytes], Path]


def concat_files(*paths: Path, names: tuple[str, ...] = ()) -> ReadResult:
    return read_and_concat([SourceLocation(str(path)) for path in paths], names, "data")


def test_columns_are_matched_by_name_and_rows_follow_the_files(write_file: Write) -> None:
    result = concat_files(write_file("1.csv", "a,b\n1,x\n"), write_file("2.csv", "b,a\ny,2\n"))
    assert result.frame.to_dict(as_series=False) == {"a": ["1", "2"], "b": ["x", "y"]}
    assert result.frame.columns == ["a", "b"]
    assert result.notes == ("2 files concatenated: 1.csv (1), 2.csv (1)",)


def test_one_file_is_read_as_if_it_were_alone(write_file: Write) -> None:
    path = write_file("1.csv", "a;b\n1;x\n")
    assert concat_files(path).frame.rows() == [("1", "x")]
    assert concat_files(path).notes == ()
    assert (
        concat_files(path, write_file("2.csv", "b|a\ny|2\n")).dialect == concat_files(path).dialect
    )


def test_files_that_are_all_empty_make_an_empty_table(write_file: Write) -> None:
    assert concat_files(write_file("1.csv", ""), write_file("2.csv", "")).frame.shape == (0, 0)


def test_messages_list_the_first_files_and_shorten_names(write_file: Write) -> None:
    paths = [write_file(f"{number}.csv", "a,b\n1,2\n") for number in range(7)]
    shown = ", ".join(f"{number}.csv (1)" for number in range(5))
    assert concat_files(*paths).notes == (f"7 files concatenated: {shown}, ...",)
    with pytest.raises(DataError) as caught:
        concat_files(*paths, write_file("7.csv", f"a,b,{'x' * 50}\n1,2,3\n"))
    assert caught.value.detail == f"it has in addition: {'x' * 40}"


def test_tables_are_in_natural_order_and_other_files_separate(
    write_file: Write, tmp_path: Path
) -> None:
    names = ["t10.csv", "t9.csv", "notes.pdf", "t9.CSV.gz"]
    locations = [SourceLocation(str(write_file(name, "a\n1\n"))) for name in names] + [
        SourceLocation(str(tmp_path))
    ]
    tables, others = partition_tables(locations)
    assert [location.path.name for location in tables] == ["t9.CSV.gz", "t9.csv", "t10.csv"]
    assert [location.path.name for location in others] == [tmp_path.name, "notes.pdf"]
    assert sorted(["a", "1", "a10b", "a9b", ""], key=natural_sort_key) == [
        "",
        "1",
        "a",
        "a9b",
        "a10b",
    ]


def test_rejected_lines_have_their_file(write_file: Write) -> None:
    good = "1,x\n" * 150
    first, second = write_file("1.csv", f"a,b\n{good}9\n"), write_file("2.csv", f"a,b\n7\n{good}")
    result = concat_files(first, second)
    assert result.frame.height == 300
    assert result.describe_malformed() == "1.csv line 152, 2.csv line 2"


@pytest.mark.parametrize("position", [0, 1, 2])
def test_the_file_with_other_columns_is_named_in_any_position(
    position: int, write_file: Write
) -> None:
    texts = ["a,b\n1,2\n"] * 2
    texts.insert(position, "a,c\n1,2\n")
    paths = [write_file(f"{number}.csv", text) for number, text in enumerate(texts)]
    with pytest.raises(DataError, match=rf"{position}\.csv does not have the columns") as caught:
        concat_files(*paths)
    assert caught.value.detail == "it lacks: b; it has in addition: c"


def test_files_without_rows_need_the_same_columns(write_file: Write) -> None:
    full, bare = write_file("1.csv", "a,b\n1,2\n"), write_file("2.csv", "a,b\n")
    assert concat_files(full, bare, write_file("3.csv", "")).frame.rows() == [("1", "2")]
    with pytest.raises(DataError, match=r"4\.csv does not have the columns"):
        concat_files(full, bare, write_file("4.csv", "a,c\n"))


def test_files_without_a_header_take_the_given_names(write_file: Write) -> None:
    paths = [write_file("1.csv", "1,x\n2,y\n"), write_file("2.csv", "3,z\n4,w\n")]
    assert concat_files(*paths, names=("n", "c")).frame["n"].to_list() == ["1", "2", "3", "4"]


def test_different_types_are_converted_or_refused(tmp_path: Path) -> None:
    columns = {"1": [1], "2": [2.5], "3": [None]}
    paths = {name: tmp_path / f"{name}.parquet" for name in columns}
    for name, values in columns.items():
        pl.DataFrame({"a": values}).write_parquet(paths[name])
    assert concat_files(paths["1"], paths["2"], paths["3"]).frame["a"].to_list() == [1.0, 2.5, None]
    paths["4"] = tmp_path / "4.parquet"
    pl.DataFrame({"a": ["x"]}, schema={"a": pl.Categorical}).write_parquet(paths["4"])
    assert concat_files(paths["1"], paths["4"], paths["3"]).frame["a"].to_list() == ["1", "x", None]
    pl.select(a=pl.date(2024, 1, 1)).write_parquet(tmp_path / "5.parquet")
    assert concat_files(paths["3"], tmp_path / "5.parquet").frame["a"].dtype == pl.Date
    with pytest.raises(DataError, match="different types in the column 'a'"):
        concat_files(paths["1"], tmp_path / "5.parquet")


def test_the_same_table_in_two_formats_is_refused(write_file: Write, tmp_path: Path) -> None:
    text = write_file("t.csv", "a\n1\n")
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="files of different formats") as caught:
        concat_files(text, tmp_path / "t.parquet")
    assert caught.value.detail == "1 delimited and 1 parquet"
    with pytest.raises(DataError, match="same table twice") as caught:
        concat_files(text, write_file("t.tsv", "a\n1\n"))
    assert caught.value.detail == "t.csv, t.tsv"
