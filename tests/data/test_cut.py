"""Texts are cut into rows and cells; rows that do not fit are named, none is swallowed."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcraft.core.errors import DataError
from fieldcraft.data.cut import Head, Odd, cut_carefully, cut_rows, unique_names
from fieldcraft.data.sniff import DELIMITERS, Dialect

HEADED, BARE = Dialect(), Dialect(header=False)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            *[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"))] * 3
        ),
        min_size=1,
    ),
    st.sampled_from(DELIMITERS),
)
def test_cells_read_back_as_the_csv_module_wrote_them(
    rows: list[tuple[str, str, str]], delimiter: str
) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(
        [("first", "second", "third"), *rows]
    )
    found = cut_rows(stream.getvalue().split("\n"), delimiter).rows
    assert found == [["first", "second", "third"], *map(list, rows)]


def test_the_lines_of_rows_are_counted_as_an_editor_counts_them() -> None:
    text = 'a,b\n\n1,"x\ny"\n \n2,z\n'
    found = cut_rows(text.split("\n"), ",")
    assert (found.starts, found.ends) == ([1, 3, 6], [1, 4, 6])


def test_names_that_are_all_blank_are_numbered() -> None:
    cut = cut_carefully(",\n,\n", HEADED)
    assert cut.frame.to_dict(as_series=False) == {"column_1": [""], "column_2": [""]}
    assert cut.nameless == 2


def test_a_cell_of_several_lines_is_whole_in_a_table_of_one_column() -> None:
    assert cut_carefully('a\n"x\ny"\nz\n', HEADED).frame["a"].to_list() == ["x\ny", "z"]


def test_rows_above_the_names_that_hold_nothing_are_passed_over() -> None:
    cut = cut_carefully(",,\n , \n\na,b,c\n1,2,3\n", Dialect())
    assert cut.frame.columns == ["a", "b", "c"]
    assert cut.frame.rows() == [("1", "2", "3")]


def test_a_row_without_a_cell_is_a_row() -> None:
    assert cut_carefully("a,b\n1,2\n,\n", HEADED).frame.rows() == [("1", "2"), ("", "")]


@pytest.mark.parametrize(
    ("text", "names"), [("a,b\n1,2,\n3,4, \n", ()), ("1,2,\n3,4,\n", ("a", "b"))]
)
def test_a_delimiter_at_the_end_of_each_row_makes_no_cell(
    text: str, names: tuple[str, ...]
) -> None:
    cut = cut_carefully(text, HEADED if not names else BARE, names)
    assert cut.frame.to_dict(as_series=False) == {"a": ["1", "3"], "b": ["2", "4"]}
    assert cut.odd == ()


def test_a_row_too_long_does_not_hide_that_all_others_end_in_a_delimiter() -> None:
    cut = cut_carefully("1,2,\n3,4,\n5,6,7,8\n", BARE, ("a", "b"))
    assert cut.frame.rows() == [("1", "2"), ("3", "4")]
    assert cut.odd == (Odd(3, 1, 4, "width"),)


def test_columns_without_names_are_numbered_and_no_row_is_lost() -> None:
    cut = cut_carefully("1,2\n3,4\n", BARE)
    assert cut.frame.to_dict(as_series=False) == {"column_1": ["1", "3"], "column_2": ["2", "4"]}
    assert (cut.odd, cut.nameless, cut.rows) == ((), 0, 2)
    assert cut_carefully("a,,b,, \n1,2,3,4,5\n", HEADED).nameless == 2


def test_a_first_row_that_repeats_the_given_names_is_no_data() -> None:
    text = "Age, City \n1,Rome\n"
    assert cut_carefully(text, HEADED, ("age", "city")).frame.rows() == [("1", "Rome")]
    assert cut_carefully(text, HEADED, ("age", "town")).frame.height == 2
    assert cut_carefully("a,b,\n1,2,\n", HEADED, ("a", "b")).frame.rows() == [("1", "2")]


@pytest.mark.parametrize("names", [("a",), ("a", "b", "c"), ("a", "a")])
def test_given_names_that_do_not_fit_are_told(names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="do not fit the file") as caught:
        cut_carefully("1,2\n3,4\n", BARE, names)
    assert caught.value.seen == f"{len(set(names))} different names for 2 columns"


@pytest.mark.parametrize(
    ("text", "before", "line"),
    [
        ('a,b\n1,"x\ny"\n2,"z\n3,4\n', 0, 4),
        ('a,b\n1,"x\ny"\n2,"z\n3,4\n', 100, 104),
        ('a,"b\n1,2\n', 0, 1),
    ],
)
def test_a_mark_that_is_never_closed_is_told_by_the_line_of_its_row(
    text: str, before: int, line: int
) -> None:
    with pytest.raises(DataError, match="none closes it before the file ends") as caught:
        cut_carefully(text, HEADED, before=before)
    assert caught.value.seen.startswith(f"the row that starts on line {line} ")


def test_lines_are_counted_on_from_those_before() -> None:
    cut = cut_carefully('1\n"x\ny",2,3\n', BARE, head=Head(["a", "b"]), before=1_000)
    assert cut.odd == (Odd(1_001, 1, 1, "width"), Odd(1_003, 1, 3, "width"))
    with pytest.raises(DataError) as caught:
        cut_carefully('a,"b\n1,2\n3,4"\n5,6\n', HEADED, before=7)
    assert caught.value.seen.startswith("lines 8 to 10 ")


@pytest.mark.parametrize("start", ['"', ' "'])
def test_a_cell_that_goes_on_after_its_mark_is_torn(start: str) -> None:
    cut = cut_carefully(f'id,note\n1,{start}first\nsecond" third\n2,x\n', HEADED)
    assert cut.frame.rows() == [("2", "x")]
    assert cut.odd == (Odd(3, 2, 2, "torn"),)


@pytest.mark.parametrize(("like", "torn"), [(9, True), (8, False)])
def test_a_cell_is_torn_if_nine_of_ten_of_its_lines_look_like_rows(like: int, torn: bool) -> None:
    lines = ["1,2"] * (like - 2) + ["no row"] * (10 - like)
    cut = cut_carefully("a,b\n" + '0,"x\n' + "\n".join([*lines, "", ' \n3,4"']) + "\n", HEADED)
    assert [odd.why for odd in cut.odd] == ["torn"] * torn


def test_prose_in_a_cell_does_not_look_like_rows() -> None:
    cut = cut_carefully('a,b\n1,"one, two\nthree, four\nfive, six"\n', HEADED)
    assert cut.frame["b"].to_list() == ["one, two\nthree, four\nfive, six"]


def test_names_that_count_the_empty_end_are_taken() -> None:
    assert cut_carefully("1,2,\n3,4,\n", BARE, ("a", "b", "c")).frame.width == 3


@pytest.mark.parametrize(
    "torn",
    [
        '4,"5,6\n7,8,9\n1,2",3',  # as wide as any row
        '4,5,"6\n7,8,9\n1,2,3"',
        '4,5,"6\n7,8,9\n1,2,"3"',  # closed before the end of a cell
    ],
)
def test_a_stray_quote_that_swallows_rows_is_noticed(torn: str) -> None:
    cut = cut_carefully(f"a,b,c\n1,2,3\n{torn}\n3,2,1\n", HEADED)
    assert cut.frame.rows() == [("1", "2", "3"), ("3", "2", "1")]
    (odd,) = cut.odd
    assert (odd.line, odd.lines, odd.why) == (5, 3, "torn")
    assert str(odd) == "3 to 5"


def test_one_odd_line_does_not_hide_that_many_rows_are_swallowed() -> None:
    swallowed = "7,8,9\n" * 20
    cut = cut_carefully(f'a,b,c\n1,2,3\n4,"5,6\n{swallowed}1,2,3",0\n', HEADED)
    assert [(odd.lines, odd.why) for odd in cut.odd] == [(22, "torn")]


@pytest.mark.parametrize(
    "cell", ["first\nsecond", "Dear Sir,\nthanks, bye\nyours, Bob", "a,b,c,d\ne,f", "\n\n"]
)
def test_a_cell_of_several_lines_is_no_torn_one(cell: str) -> None:
    cut = cut_carefully(f'id,note\n1,"{cell}"\n2,x\n', HEADED)
    assert cut.frame["note"].to_list() == [cell, "x"]


def test_a_stray_quote_among_the_names_is_refused() -> None:
    with pytest.raises(DataError, match="among the column names swallows rows") as caught:
        cut_carefully('a,"b\n1,2\n3,4\n5,6"\n7,8\n', HEADED)
    assert caught.value.seen.startswith("lines 1 to 4 ")


def test_names_may_have_several_lines() -> None:
    assert cut_carefully('id,"age\nin years"\n1,2\n', HEADED).frame.columns[1] == "age\nin years"


def test_rows_that_hold_nul_are_left_out() -> None:
    cut = cut_carefully("a,b\n1,2\n3,\0\n\0\0\0", HEADED)
    assert cut.frame.rows() == [("1", "2")]
    assert cut.odd == (Odd(3, 1, 2, "nul"), Odd(4, 1, 1, "nul"))


def test_rows_of_another_width_are_left_out_and_counted() -> None:
    cut = cut_carefully('a,b\n1\n1,2\n1,"2\nx",3,4\n', HEADED)
    assert cut.odd == (Odd(2, 1, 1, "width"), Odd(5, 1, 4, "width"))
    assert cut.rows == 3


def test_lines_are_cells_where_there_is_no_delimiter() -> None:
    cut = cut_carefully('text\n "a", b\n\nc, "d\n', Dialect(""))
    assert cut.frame.rows() == [(' "a", b',), ('c, "d',)]


def test_many_equal_names_are_told_apart_without_delay() -> None:
    names = unique_names(["x", "", "x.1"] * 3_000)
    assert len(set(names)) == 9_000
    assert names[:6] == ["x", "column_2", "x.1", "x.2", "column_5", "x.1.1"]
