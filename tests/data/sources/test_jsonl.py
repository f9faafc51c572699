"""JSON Lines are read as rows; errors name field and line."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.data.location import SourceLocation
from fieldcraft.data.source import ReadResult
from fieldcraft.data.sources.jsonl import SOURCE


def read(text: str | bytes) -> ReadResult:
    data = text.encode() if isinstance(text, str) else text
    return SOURCE.read(SourceLocation("t.jsonl", data), ())


def test_fields_are_matched_by_name_and_keep_their_types() -> None:
    frame = read('{"a":1,"b":"x"}\r\n\n{"c":true,"a":2}\n{"b":null}').frame
    assert frame.schema == {"a": pl.Int64, "b": pl.String, "c": pl.Boolean}
    assert frame.rows() == [(1, "x", None), (2, None, True), (None, None, None)]


def test_mixed_types_become_text() -> None:
    frame = read('{"a":1,"b":1}\n{"a":"x","b":2.5}\n').frame
    assert frame.to_dict(as_series=False) == {"a": ["1", "x"], "b": [1.0, 2.5]}


def test_gzip_and_other_encodings_are_read() -> None:
    for data in (gzip.compress('{"a":"é"}'.encode()), '{"a":"é"}'.encode("utf-16")):
        assert read(data).frame["a"].to_list() == ["é"]


@pytest.mark.parametrize("value", ["[1]", "{}", '{"x":[1]}'])
def test_nested_values_are_named_by_field_and_line(value: str) -> None:
    with pytest.raises(DataError, match=r"the field 'tags' of t\.jsonl") as caught:
        read(f'{{"tags":1}}\n\n{{"tags":{value}}}\n')
    assert caught.value.detail.startswith("line 3: ")
    assert '"tags_1"' in caught.value.hint


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"a":1', "Expecting ',' delimiter at character 7"),
        ("[1, 2]", "a list, not a record"),
        ("5", "a int, not a record"),
        ('{"a":1,"a":2}', "a field occurs twice"),
        ('{"a":"\\ud800"}', "surrogates not allowed"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_few_broken_lines_are_rejected(line: str, why: str) -> None:
    good = '{"a":1}\n'
    result = read(f"{good * 3}{line}\n{good * 120}")
    assert result.frame.height == 123
    assert result.malformed_lines == (4,)
    with pytest.raises(DataError, match=r"2 of 3 lines of t\.jsonl are not records") as caught:
        read(f"{line}\n{good}{line}\n")
    assert caught.value.detail.startswith("first such lines: 1 (")
    assert why in caught.value.detail


def test_the_error_for_a_json_list_shows_the_right_format() -> None:
    with pytest.raises(DataError, match="are not records") as caught:
        read('[\n{"a":1},\n{"a":2}\n]\n')
    assert "without brackets around the lines" in caught.value.hint


def test_real_records_are_read(shared_data: Path) -> None:
    path = shared_data / "text/human_eval/HumanEval.jsonl.gz"
    frame = SOURCE.read(SourceLocation(str(path)), ()).frame
    assert frame.height == 164
    assert frame["task_id"][0] == "HumanEval/0"
    assert set(frame.dtypes) == {pl.String}
