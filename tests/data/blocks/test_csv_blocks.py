"""Delimited text in blocks of any size has the same cells as when read at once."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fieldcraft.data.blocks import csv_blocks as module
from fieldcraft.data.blocks.base import ReadOptions
from fieldcraft.data.blocks.csv_blocks import open_csv_blocks
from fieldcraft.data.blocks.read import open_blocks
from tests.data.blocks.comparison import read_at_once, read_in_blocks

CELLS = (
    "", "a", "1", " ", " a", "a ", '"', '""', '"a"', '"a,b"', '"a\nb"', '"a""b"', '" a"', '"a"b',
    '""""', '"\n"', "é", "\ufeff", "\x1c", "\x0b", "\u2028", "\0", "1,5", "NA", '"1,2\n3,4"',
    "a\tb", '5" disk', "\r", '"a\r\nb"', ";",
)  # fmt: skip
GOOD = "1,x,2.5\n2,y,3.5\n" * 100


@st.composite
def csv_texts(draw: st.DrawFn) -> bytes:
    """Draw texts of mostly regular rows of cells in one of several encodings."""
    width = draw(st.integers(1, 4))
    mark = draw(st.sampled_from(",,,;\t|"))
    regular = st.lists(st.sampled_from(CELLS), min_size=width, max_size=width)
    irregular = st.lists(st.sampled_from(CELLS), max_size=5)
    plain = st.lists(st.sampled_from("ab1"), min_size=width, max_size=width)
    rows = draw(st.lists(st.one_of(plain, plain, plain, regular, irregular), max_size=12))
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    text = end.join(mark.join(row) for row in rows) + draw(st.sampled_from(["", end, end * 2]))
    codec = draw(st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-8"]))
    return text.encode(codec, errors="replace") + draw(st.sampled_from([b"", b"", b"\xe9\n"]))


@settings(
    derandomize=True, deadline=None, max_examples=250,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@example(b'a,b\n1,"x\ny"\n2,z\n' * 9, 5, ())
@example(b'a,b\n1,5" disk\n2,"z\nz"\n' * 9, 7, ())
@example(b"sep=;\na;b\n1;2\n3;4\n", 3, ())
@example(b",,\n , \n\na,b,c\n1,2,3\n4,5,6\n", 2, ())
@given(csv_texts(), st.integers(1, 80), st.sampled_from([(), (), ("x", "y"), ("x", "y", "z")]))
def test_blocks_give_the_same_cells_as_the_whole_file(
    tmp_path: Path, data: bytes, size: int, names: tuple[str, ...]
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    for copy in (tmp_path / "scratch").glob("*"):
        copy.unlink()
    expected, result = read_at_once(path, names), read_in_blocks(path, size, names)
    if isinstance(expected, str):  # of two faults either may be reported
        assert isinstance(result, str)
    elif expected is not None:
        assert result == expected


@pytest.mark.parametrize("size", [1, 40, 1_000, 10**6])
def test_malformed_lines_have_their_number_and_text(tmp_path: Path, size: int) -> None:
    text = f'a,b,c\n{GOOD}only,two\n{GOOD}1,"2\n2",3,4\n5,\0,6\n{GOOD}'
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    blocks = open_csv_blocks(tmp_path / "t.csv", "t.csv", ReadOptions(size))
    pieces = [blocks.read_block(number) for number in range(len(blocks.sizes))]
    result = [reject for piece in pieces for reject in piece.rejects]
    assert [(reject.last_line, reject.reason) for reject in result] == [
        (202, "2 cells instead of 3"),
        (404, "4 cells instead of 3"),
        (405, "NUL characters"),
    ]
    assert result[0].text == "only,two"
    assert sum(piece.frame.height for piece in pieces) == 600
    assert (len(blocks.sizes) > 1) == (size < 10**6)


def test_a_block_is_little_larger_than_requested(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,c\n" + GOOD * 50, encoding="utf-8")
    weights = open_csv_blocks(tmp_path / "t.csv", "t.csv", ReadOptions(1_000)).sizes
    assert max(weights) < 1_010
    assert min(weights[:-1]) >= 1_000


def test_stray_quotes_do_not_join_the_rest_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('a,b,c\n1,5" disk,2\n' + GOOD * 20, encoding="utf-8")
    assert len(open_csv_blocks(tmp_path / "t.csv", "t.csv", ReadOptions(1_000)).sizes) > 20
    assert read_in_blocks(tmp_path / "t.csv", 1_000) == read_at_once(tmp_path / "t.csv")


def test_an_unclosed_quote_is_an_error_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f'a,b,c\n{GOOD}1,"2,3\n{GOOD}', encoding="utf-8")
    assert "row that starts on line 202" in str(read_in_blocks(tmp_path / "t.csv", 100))


def test_only_selected_columns_are_kept(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,c,,\n" + "1,2,3,,\n" * 50, encoding="utf-8")
    wish = ReadOptions(50, frozenset({"a", "c", "z"}))
    blocks = open_csv_blocks(tmp_path / "t.csv", "t.csv", wish)
    assert blocks.columns == ("a", "b", "c")
    assert blocks.read_block(3).frame.columns == ["a", "c"]
    assert len(blocks.sizes) > 1
    # An unnamed column is kept if one of its cells is filled, which depends on all rows.
    unnamed = open_csv_blocks(
        tmp_path / "t.csv", "t.csv", ReadOptions(50, frozenset({"a", "column_4"}))
    )
    assert len(unnamed.sizes) == 1


def test_a_file_whose_start_is_not_enough_is_one_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAMPLE_BYTES", 100)
    (tmp_path / "t.csv").write_text("a,b,c\n" + GOOD, encoding="utf-8")
    assert len(open_csv_blocks(tmp_path / "t.csv", "t.csv", ReadOptions(50)).sizes) == 1
    assert read_in_blocks(tmp_path / "t.csv", 50) == read_at_once(tmp_path / "t.csv")


@pytest.mark.parametrize("codec", ["utf-8", "utf-16", "cp1252"])
def test_decompressed_and_utf8_copies_have_the_same_cells(tmp_path: Path, codec: str) -> None:
    text = "name;size\n" + "Zoë;1,5\nBjörn;2,5\n" * 400
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode(codec)))
    assert read_in_blocks(tmp_path / "t.csv.gz", 300) == read_at_once(tmp_path / "t.csv.gz")
    blocks = open_blocks(tmp_path / "t.csv.gz", ReadOptions(300), tmp_path / "scratch")
    assert len(blocks.sizes) > 10
