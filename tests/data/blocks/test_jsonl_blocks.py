"""JSON Lines in blocks: a field has one type in all blocks; broken lines are rejected."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldcraft.core.errors import DataError
from fieldcraft.data.blocks.base import ReadOptions
from fieldcraft.data.blocks.jsonl_blocks import open_jsonl_blocks
from tests.data.blocks.comparison import read_at_once, read_in_blocks

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**65), 2**65), st.integers(0, 9),
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["", "x", "é", "\u2028"]),
)  # fmt: skip
LINES = st.one_of(
    st.dictionaries(st.sampled_from("abc"), VALUES).map(json.dumps),
    st.sampled_from(["", " ", '{"a": 1, "a": 2}', "[1]", '{"a": 1', '{"b": 1.0}\r']),
)


@settings(
    derandomize=True, deadline=None, max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(st.lists(LINES, max_size=12), st.integers(1, 90), st.sampled_from(["utf-8", "utf-8-sig"]))
def test_blocks_give_the_same_cells_as_the_whole_file(
    tmp_path: Path, lines: list[str], size: int, codec: str
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes("\n".join(lines).encode(codec))
    expected, result = read_at_once(path), read_in_blocks(path, size)
    if expected is not None:
        assert result == expected


def test_numbers_become_text_if_a_later_block_has_words(tmp_path: Path) -> None:
    rows = [*({"a": number, "b": number} for number in range(99)), {"a": "x", "b": 0.5}]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    blocks = open_jsonl_blocks(path, "t.jsonl", ReadOptions(100))
    assert len(blocks.sizes) > 10
    assert blocks.read_block(0).frame.schema == {"a": pl.String, "b": pl.Float64}


def test_rejected_lines_have_number_text_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": 1}\n\n{"a": \n{"a": 2}\n[3]\n', encoding="utf-8")
    blocks = open_jsonl_blocks(path, "t.jsonl", ReadOptions(5))
    result = [reject for n in range(len(blocks.sizes)) for reject in blocks.read_block(n).rejects]
    assert [(reject.last_line, reject.text) for reject in result] == [(3, '{"a": '), (5, "[3]")]
    assert result[1].reason == "not a record: a list, not a record"


def test_lists_in_records_are_refused_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n{"a": [2]}\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 2"):
        open_jsonl_blocks(tmp_path / "t.jsonl", "t.jsonl", ReadOptions(5))
