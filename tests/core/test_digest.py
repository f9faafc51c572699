"""Digests are equal exactly if the content is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcraft.core import digest

fixed = settings(derandomize=True, deadline=None, max_examples=60)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
JSON = st.recursive(
    SCALARS | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=6
)


@fixed
@given(st.binary())
def test_the_digest_of_bytes_is_their_sha256(data: bytes) -> None:
    assert digest.of_bytes(data) == hashlib.sha256(data).hexdigest()


@fixed
@given(JSON)
def test_canonical_json_parses_to_the_same_value(value: object) -> None:
    assert json.loads(digest.canonical_json(value)) == value


@fixed
@given(st.dictionaries(TEXT, SCALARS | st.lists(TEXT), min_size=2))
def test_the_order_of_keys_does_not_matter(value: dict[str, object]) -> None:
    reordered = dict(reversed(value.items()))
    assert digest.of_json(reordered) == digest.of_json(value)


@fixed
@given(st.lists(SCALARS, min_size=1), st.data())
def test_a_different_value_has_a_different_digest(value: list[object], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(value) - 1))
    changed = [*value[:position], "changed", *value[position + 1 :]]
    assert digest.of_json(changed) != digest.of_json(value)
    assert digest.of_json([*value, None]) != digest.of_json(value)


def test_the_digest_is_the_same_on_every_machine() -> None:
    assert (
        digest.canonical_json({"b": [1, 2.5, None], "a": "é"})
        == '{"a":"é","b":[1,2.5,null]}'.encode()
    )
    assert digest.of_json({}) == hashlib.sha256(b"{}").hexdigest()


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": float("-inf")}])
def test_nan_and_infinity_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        digest.of_json(value)


@pytest.mark.parametrize("size", [0, 1, digest.READ_BLOCK_BYTES, digest.READ_BLOCK_BYTES + 1])
def test_a_file_has_the_digest_of_its_bytes(size: int, tmp_path: Path) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    (tmp_path / "file").write_bytes(data)
    assert digest.of_file(tmp_path / "file") == digest.of_bytes(data)


def test_a_folder_lists_every_file_below_it_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "b").write_bytes(b"2")
    (tmp_path / "a").write_bytes(b"1")
    assert digest.of_folder(tmp_path) == {
        "a": digest.of_bytes(b"1"),
        "inner/b": digest.of_bytes(b"2"),
    }
