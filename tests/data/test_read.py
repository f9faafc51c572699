"""Tables of all formats are read with unchanged cells; unreadable ones are an error."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from fieldcraft.core.digest import of_file
from fieldcraft.core.errors import DataError
from fieldcraft.data.cell_parser import normalize_missing, parse_numbers
from fieldcraft.data.csv_sniffer import DELIMITERS, CsvDialect
from fieldcraft.data.read import read_table, table_digest

Write = Callable[[str, str | bytes], Path]

PEOPLE = pl.DataFrame({"name": ["Zoë", "Ann", "Bo"], "age": ["31", "", "7"]})
PEOPLE_CSV = "name,age\nZoë,31\nAnn,\nBo,7\n"


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".txt", ".CSV", ".csv.gz"])
@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_any_delimiter_is_read_under_any_extension(
    delimiter: str, ending: str, write_file: Write
) -> None:
    data = PEOPLE_CSV.replace(",", delimiter).encode()
    path = write_file(f"people{ending}", gzip.compress(data) if ending.endswith("gz") else data)
    result = read_table(path)
    assert_frame_equal(result.frame, PEOPLE)
    assert result.dialect == CsvDialect(delimiter)
    assert result.malformed_lines == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_any_encoding_gives_the_same_cells(encoding: str, write_file: Write) -> None:
    result = read_table(write_file("people.csv", PEOPLE_CSV.encode(encoding)))
    assert_frame_equal(result.frame, PEOPLE)
    assert result.dialect == CsvDialect(encoding=encoding)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_newline_is_read(end: str, write_file: Write) -> None:
    path = write_file("people.csv", PEOPLE_CSV.replace("\n", end) + end)
    assert_frame_equal(read_table(path).frame, PEOPLE)


def test_blanks_after_commas_are_skipped(write_file: Write) -> None:
    path = write_file("raw.csv", '39, State-gov, "x, y", <=50K\n50, Private, z, >50K\n\n')
    assert read_table(path, ("age", "work", "note", "income")).frame.rows() == [
        ("39", "State-gov", "x, y", "<=50K"),
        ("50", "Private", "z", ">50K"),
    ]


def test_a_quoted_cell_may_hold_lines_quotes_and_delimiters(write_file: Write) -> None:
    path = write_file("notes.csv", 'id,note\n1,"first\nsecond, ""third"""\n2,plain\n')
    assert read_table(path).frame["note"].to_list() == ['first\nsecond, "third"', "plain"]


def test_a_cell_may_be_longer_than_the_csv_module_allows(write_file: Write) -> None:
    text = "word " * 50_000
    limit = csv.field_size_limit()
    frame = read_table(write_file("long.csv", f"id,text\n1,{text}\n2,short\n")).frame
    assert frame["text"].to_list() == [text, "short"]
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("row", ['"3,4', '3,"4', '3,"4""'])
def test_a_quote_that_is_never_closed_is_an_error(row: str, write_file: Write) -> None:
    path = write_file("torn.csv", "a,b\n1,2\n\n" + row + "\n" + "5,6\n" * 300)
    with pytest.raises(DataError, match="none closes it before the file ends") as caught:
        read_table(path)
    assert "starts on line 4 " in caught.value.detail


def test_a_file_without_a_header_is_read_from_its_first_row(write_file: Write) -> None:
    path = write_file("plain.csv", "1,Rome\n2,Oslo\n")
    bare, named = read_table(path), read_table(path, ("size", " city "))
    assert bare.frame.columns == ["column_1", "column_2"]
    assert named.frame.columns == ["size", "city"]
    assert bare.frame.rows() == named.frame.rows() == [("1", "Rome"), ("2", "Oslo")]
    assert bare.dialect == named.dialect == CsvDialect(has_header=False)


def test_a_header_that_equals_the_given_names_is_skipped(write_file: Write) -> None:
    path = write_file("people.csv", PEOPLE_CSV)
    assert read_table(path, ("Name", "AGE")).frame.rows() == PEOPLE.rows()


@pytest.mark.parametrize("names", [("a",), ("a", "b", "c"), ("a", "a")])
def test_names_that_do_not_fit_are_refused(names: tuple[str, ...], write_file: Write) -> None:
    with pytest.raises(DataError, match="names given do not fit") as caught:
        read_table(write_file("people.csv", PEOPLE_CSV), names)
    assert "exactly 2 different names" in caught.value.hint


def test_names_fit_the_file_even_if_an_early_row_is_too_long(write_file: Write) -> None:
    result = read_table(write_file("plain.csv", "1,x,odd\n" + "2,y\n" * 200), ("size", "city"))
    assert (result.frame.height, result.malformed_lines) == (200, (1,))


def test_repeated_and_blank_names_become_unique(write_file: Write) -> None:
    path = write_file("twins.csv", "id,x,,x,x.1\na,1,2,3,4\nb,5,6,7,8\n")
    assert read_table(path).frame.columns == ["id", "x", "column_3", "x.1", "x.1.1"]


def test_malformed_rows_are_rejected_with_their_lines(write_file: Write) -> None:
    good = "1,x\n" * 150
    path = write_file("ragged.csv", f'a,b\n{good}\n1,"two\nlines",3\n{good}only\n')
    result = read_table(path)
    assert result.frame.rows() == [("1", "x")] * 300
    assert result.malformed_lines == (154, 305)


def test_too_many_malformed_rows_are_an_error_with_their_lines(write_file: Write) -> None:
    path = write_file("ragged.csv", "a,b\n" + "1,2\n" * 98 + "1\n1,2,3\n")
    with pytest.raises(
        DataError, match=r"2 of 100 rows of ragged\.csv do not have 2 cells"
    ) as caught:
        read_table(path)
    assert caught.value.detail == "first such lines: 100, 101"


@pytest.mark.parametrize("text", ["", "\n \n", "a,b\n", "a,b\n1,2,3\n", '""\n', "\ufeff"])
@pytest.mark.parametrize("names", [(), ("a", "b")])
def test_a_file_without_rows_is_an_error(
    text: str, names: tuple[str, ...], write_file: Write
) -> None:
    with pytest.raises(DataError, match=r"empty\.csv holds no rows"):
        read_table(write_file("empty.csv", text), names)


def test_a_picture_is_not_a_table(write_file: Write) -> None:
    with pytest.raises(DataError, match=r"photo\.csv is not a text file"):
        read_table(write_file("photo.csv", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"))


def test_noise_is_not_a_table(write_file: Write) -> None:
    noise = bytes(i * 37 % 251 + 1 for i in range(5_000))
    with pytest.raises(DataError, match=r"noise\.csv"):
        read_table(write_file("noise.csv", noise))


def damaged(data: bytes) -> list[bytes]:
    """A compressed file truncated, with a changed byte, and with its signature alone."""
    middle = len(data) // 2
    return [data[:-9], data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :], data[:2]]


@pytest.mark.parametrize("data", damaged(gzip.compress(PEOPLE_CSV.encode() * 50, mtime=0)))
def test_a_damaged_archive_is_named(data: bytes, write_file: Write) -> None:
    with pytest.raises(DataError, match=r"people\.csv\.gz cannot be unpacked"):
        read_table(write_file("people.csv.gz", data))


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    frame = pl.DataFrame({"age": [31, None], "name": ["Zoë", None], "score": [0.5, 1.5]})
    frame.write_parquet(tmp_path / "people.parquet")
    assert_frame_equal(read_table(tmp_path / "people.parquet").frame, frame)
    renamed = read_table(tmp_path / "people.parquet", ("a", "b", "c")).frame
    assert renamed.rows() == frame.rows()
    assert renamed.columns == ["a", "b", "c"]


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_damaged_parquet_is_named(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    PEOPLE.write_parquet(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"people\.parquet cannot be read as Parquet"):
        read_table(path)


@pytest.mark.parametrize(
    ("name", "ending"), [("table.xlsx", ".xlsx"), ("table.json.gz", ".json"), ("table", "''")]
)
def test_an_unknown_extension_gets_the_known_ones(
    name: str, ending: str, write_file: Write
) -> None:
    with pytest.raises(DataError, match="cannot determine the format") as caught:
        read_table(write_file(name, PEOPLE_CSV))
    assert ending in caught.value.detail
    assert ".parquet" in caught.value.hint


def test_an_address_may_be_text_or_a_path(write_file: Write) -> None:
    path = write_file("people.csv", PEOPLE_CSV)
    assert_frame_equal(read_table(str(path)).frame, read_table(path).frame)
    assert table_digest(str(path)) == table_digest(path) == of_file(path)


def test_a_table_of_malformed_rows_only_is_an_error(write_file: Write) -> None:
    with pytest.raises(DataError, match="holds no rows") as caught:
        read_table(write_file("people.csv", "a,b\n1,2,3\n"))
    assert caught.value.detail == "0 rows x 2 columns, 1 malformed line: 2"


def test_a_missing_file_gets_similar_names(write_file: Write) -> None:
    beside = write_file("people_2024.csv", PEOPLE_CSV)
    with pytest.raises(DataError, match="there is no file") as caught:
        read_table(beside.with_name("people.csv"))
    assert caught.value.detail == "in the same folder: people_2024.csv"


# Files of real data sets.


def test_adult_in_its_raw_form_equals_its_clean_form(shared_data: Path) -> None:
    clean = pl.read_parquet(shared_data / "tabular/adult/adult_train.parquet")
    raw = read_table(shared_data / "tabular/adult/adult_train_raw.csv.gz", clean.columns)
    assert raw.dialect == CsvDialect(has_header=False)
    assert raw.malformed_lines == ()
    stripped = raw.frame.select(normalize_missing(column, ("?",)) for column in raw.frame)
    assert_frame_equal(stripped, clean.cast(pl.String))


def test_a_european_file_holds_the_same_numbers_as_its_parsed_form(shared_data: Path) -> None:
    folder = shared_data / "tabular/dry_bean"
    raw = read_table(folder / "dry_bean_raw_european.csv.gz")
    clean = pl.read_parquet(folder / "dry_bean.parquet").drop("class")
    assert raw.dialect == CsvDialect(";")
    cells = raw.frame.drop("Bean ID", "Class")
    parsed = [
        parse_numbers(column, ",").alias(name)
        for column, name in zip(cells, clean.columns, strict=True)
    ]
    assert_frame_equal(pl.DataFrame(parsed), clean.cast(pl.Float64))


@pytest.mark.parametrize(
    ("name", "shape", "unknown"),
    [("horse_colic.csv", (300, 28), 1_605), ("auto_imports.csv", (201, 26), 51)],
)
def test_messy_originals_have_no_header_and_question_marks(
    name: str, shape: tuple[int, int], unknown: int, shared_data: Path
) -> None:
    result = read_table(shared_data / "tabular/messy" / name)
    assert result.frame.shape == shape
    assert result.dialect == CsvDialect(has_header=False)
    marks = [normalize_missing(column, ("?",)).null_count() for column in result.frame]
    assert sum(marks) == unknown


def test_messages_in_a_legacy_encoding_are_complete(shared_data: Path) -> None:
    result = read_table(shared_data / "text/sms_spam/sms_spam_raw_latin1.csv.gz")
    assert result.dialect == CsvDialect(encoding="cp1252")
    assert result.frame.shape == (5_572, 2)
    assert set(result.frame["label"]) == {"ham", "spam"}
    assert result.malformed_lines == ()


@pytest.mark.parametrize("part", ["pos", "neg"])
def test_sentences_are_one_column_whatever_delimiters_they_contain(
    part: str, shared_data: Path
) -> None:
    name = f"text/rotten_tomatoes/rt_polarity_{part}_raw_cp1252.txt.gz"
    raw = read_table(shared_data / name)
    clean = read_table(shared_data / "text/rotten_tomatoes/rotten_tomatoes.csv.gz").frame
    assert raw.dialect == CsvDialect("", has_header=False, encoding="cp1252")
    assert raw.frame.shape == (5_331, 1)
    text = next(column for column in clean if column.n_unique() > 1_000)
    assert set(normalize_missing(raw.frame.to_series()).head(50)) <= set(normalize_missing(text))
