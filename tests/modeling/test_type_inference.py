"""Kinds and markers of missing values are inferred from the cells."""

from __future__ import annotations

import polars as pl

from fieldcraft.data.column_profile import profile_columns
from fieldcraft.modeling.type_inference import find_missing_markers, infer_kind
from tests.conftest import mixed_table


def test_the_most_confident_kind_is_inferred() -> None:
    kinds = {
        name: infer_kind(profile).name for name, profile in profile_columns(mixed_table()).items()
    }
    assert kinds == {
        "key": "identifier", "age": "number", "city": "category", "member": "boolean",
        "seen": "datetime", "same": "constant", "bought": "boolean",
    }  # fmt: skip


def test_missing_markers_are_collected_over_all_columns() -> None:
    frame = pl.DataFrame({"a": ["1", "?", "2"], "b": ["x", "n/a", "?"], "c": [1, 2, 3]})
    assert find_missing_markers(frame) == ["?", "n/a"]
    assert find_missing_markers(frame.select("c")) == []
