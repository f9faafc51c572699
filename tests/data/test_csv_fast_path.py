"""The fast parser gives the same result as the strict one, or None."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fieldcraft.core.errors import DataError
from fieldcraft.data import csv_fast_path
from fieldcraft.data.csv_fast_path import parse_csv_fast
from fieldcraft.data.csv_parser import ParsedTable, parse_csv_strict
from fieldcraft.data.csv_sniffer import CsvDialect

# Cells with quotes, delimiters, blanks and newlines.
CELLS = (
    "", "a", "1", " ", " a", "a ", '"', '""', '"a"', '"a,b"', '"a\nb"', '"a""b"', '" a"', '"a"b',
    '""""', '"\n"', "é", "\ufeff", "\x1c", "\x0b", "\u2028", "\0", "#", "'", "\\", "NA", "null",
    '"1,2\n3,4"', "a\tb", "|",
)  # fmt: skip


@st.composite
def csv_texts(draw: st.DrawFn) -> str:
    """Draw texts of mostly regular rows of cells."""
    width = draw(st.integers(1, 4))
    regular = st.lists(st.sampled_from(CELLS), min_size=width, max_size=width)
    irregular = st.lists(st.sampled_from(CELLS), max_size=5)
    plain = st.lists(st.sampled_from("ab1"), min_size=width, max_size=width)
    rows = draw(st.lists(st.one_of(plain, plain, plain, regular, irregular), max_size=8))
    ends = draw(st.sampled_from(["", "\n", "\n\n", ",\n"]))
    return "\n".join(",".join(row) for row in rows) + ends


def parsed_content(result: ParsedTable | None) -> object:
    """The content in which two parsers must agree."""
    assert result is not None
    frame = result.frame
    return frame.schema, frame.rows(), result.malformed, result.n_unnamed


def parse_or_error(parse: Callable[..., ParsedTable | None], *arguments: object) -> object:
    """Run a parser; the result is the content, None, or the text of an error."""
    try:
        result = parse(*arguments)
    except DataError as error:
        return str(error)
    return parsed_content(result) if result else None


@settings(derandomize=True, deadline=None, max_examples=600)
@example("\ufeff,x\n", False, ())
@example(' a, b\n"c",d\n', False, ())
@example('a,b\n"1\n2",x\n\n"",""\n', True, ())
@given(csv_texts(), st.booleans(), st.sampled_from([(), ("x", "y"), ("x", "y", "z")]))
def test_the_fast_and_the_strict_parser_agree(
    text: str, header: bool, names: tuple[str, ...]
) -> None:
    quick = parse_or_error(parse_csv_fast, text, CsvDialect(has_header=header), names)
    if quick is not None:
        assert quick == parse_or_error(parse_csv_strict, text, CsvDialect(has_header=header), names)


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n3,4\n",
        "a, b\n1, x\n",
        'a,b\n"1","x, ""y"""\n"z\nz",\n',
        "a,b\n\n1,2\n \n3\n4,5,6\n",
        'a,b,c\n1,2,3\n4,"5,6\n7,8,9\n1,2",3\n',
        "é,b\nZoë,\u2028\n",
        "a,b\n",
        "a,b,\n1,2,\n",
    ],
)
def test_regular_text_is_parsed_fast(text: str) -> None:
    assert parsed_content(parse_csv_fast(text, CsvDialect())) == parsed_content(
        parse_csv_strict(text, CsvDialect())
    )


@pytest.mark.parametrize(
    "text",
    [
        'a,b\n1,5" nail\n',  # a mark within a cell that is not quoted
        'a,b\n1,"5" nail\n',
        'a,b\n1, "x"\n',
        'a,b\n1,"x\n',
        "a\n1\n2\n",
        "a,b\n1,2,\n",
        "a,b\n1,\0\n",
    ],
)
def test_ambiguous_text_is_left_to_the_strict_parser(text: str) -> None:
    assert parse_csv_fast(text, CsvDialect()) is None


def test_a_non_ascii_delimiter_is_left_to_the_strict_parser() -> None:
    assert parse_csv_fast("a¦b\n1¦2\n", CsvDialect("¦")) is None
    assert parse_csv_fast("a b\n1 2\n", CsvDialect(" ")) is None


@pytest.mark.parametrize(("rows", "is_fast"), [(3, True), (4, False)])
def test_many_rows_with_an_extra_cell_are_left_to_the_strict_parser(
    rows: int, is_fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_fast_path, "MAX_LONG_ROWS_CHECKED", 3)
    parsed = parse_csv_fast("a,b\n1,2\n" + "1,2,3\n" * rows, CsvDialect())
    assert (parsed is not None) is is_fast
    if parsed is not None:
        assert [row.last_line for row in parsed.malformed] == [3, 4, 5]


def test_the_rows_around_malformed_ones_are_kept() -> None:
    rows = [f"{i},x" if i % 50 else f"{i}" for i in range(5_000)]
    parsed = parse_csv_fast("a,b\n" + "\n".join(rows), CsvDialect())
    assert parsed is not None
    kept_cells = [str(i) for i in range(5_000) if i % 50]
    assert_frame_equal(parsed.frame, pl.DataFrame({"a": kept_cells, "b": ["x"] * len(kept_cells)}))
    assert [row.last_line for row in parsed.malformed][:3] == [2, 52, 102]
