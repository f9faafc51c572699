"""A block of rows is predicted as the bundle predicts rows, and is as large as memory allows."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from fieldcraft.bundle.batch import MOST, block_size, score, wanted_columns
from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.project.folder import Folder
from tests.conftest import mixed_table, rent_table


@pytest.fixture(scope="module")
def loaded(packed_once: Path) -> Bundle:
    return load_bundle(packed_once)


def test_a_block_is_predicted_as_its_rows_are(loaded: Bundle) -> None:
    rows = mixed_table(50, seed=6).cast(pl.String)
    odd = rows.with_columns(age=pl.when(pl.int_range(50) < 3).then(pl.lit("?!")).otherwise("age"))
    scored = score(loaded, odd, Path())
    assert scored.table.equals(loaded.predict(odd))
    assert scored.odd["unread"] == {"age": 3}


def test_rows_keep_the_name_that_the_project_gives_them(blended_once: Path) -> None:
    bundle = load_bundle(Folder(blended_once / "project").bundle)
    rows = rent_table(30, seed=2)
    scored = score(bundle, rows, Path())
    assert scored.table["flat"].to_list() == rows["flat"].to_list()
    assert {"flat", "district", "trees", "x0"} <= wanted_columns(bundle)
    narrow = rows.select(name for name in rows.columns if name in wanted_columns(bundle))
    assert "rent" not in narrow.columns
    assert score(bundle, narrow, Path()).table.equals(scored.table)


def test_blocks_share_the_memory(
    loaded: Bundle, packed_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = block_size(loaded, 64_000_000, 2)
    assert size == pytest.approx(2 * block_size(loaded, 64_000_000, 4), abs=2)
    assert 1_000_000 < size < 2_000_000
    assert block_size(loaded, 1, 8) == 1
    assert block_size(loaded, 10**12, 1) == MOST
    bundle = load_bundle(packed_once)
    monkeypatch.setattr(type(bundle), "file_columns", ["photo"])
    assert block_size(bundle, 64_000_000, 2) < size / 100
