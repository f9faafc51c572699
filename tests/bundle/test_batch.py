"""A block of rows is predicted as the bundle predicts rows, and is as large as memory allows."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from fieldcraft.bundle.batch import block_size, score, wanted_columns
from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.project.folder import Folder
from tests.conftest import mixed_table, rent_table


@pytest.fixture(scope="module")
def loaded(packed_once: Path) -> Bundle:
    return load_bundle(packed_once)


def test_a_block_is_predicted_as_its_rows_are(loaded: Bundle) -> None:
    rows = mixed_table(50, seed=6).cast(pl.String)
    odd = rows.with_columns(
        age=pl.when(pl.int_range(50) < 3).then(pl.lit("?!")).otherwise("age"),
        city=pl.when(pl.int_range(50) < 2).then(pl.lit("Atlantis")).otherwise("city"),
    )
    scored = score(loaded, odd, Path())
    assert scored.table.equals(loaded.predict(odd))
    assert scored.odd == {"unread": {"age": 3}, "unseen": {"city": 2}, "outside": {}}


def test_rows_keep_the_name_that_the_project_gives_them(blended_once: Path) -> None:
    bundle = load_bundle(Folder(blended_once / "project").bundle)
    rows = rent_table(30, seed=2)
    scored = score(bundle, rows, Path())
    assert scored.table["flat"].to_list() == rows["flat"].to_list()
    assert {"flat", "district", "trees", "x0"} <= wanted_columns(bundle)
    narrow = rows.select(name for name in rows.columns if name in wanted_columns(bundle))
    assert "rent" not in narrow.columns
    assert score(bundle, narrow, Path()).table.equals(scored.table)


def test_a_block_is_as_large_as_memory_and_its_outputs_allow(
    packed_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = load_bundle(packed_once)
    # Half of the memory, 16 bytes for a byte read, and beside 4 columns there are 2 outputs.
    assert block_size(bundle, 64_000_000, 2) == 64_000_000 * 4 // (2 * 16 * 6)
    assert block_size(bundle, 1, 8) == 1
    assert block_size(bundle, 10**12, 1) == 1 << 22
    with monkeypatch.context() as patch:
        patch.setattr(type(bundle.encoders.encoders["number"]), "most_rows", 100)
        assert block_size(bundle, 64_000_000, 2) == 64_000_000 * 4 // (2 * 16 * 6 * 32)
    monkeypatch.setattr(type(bundle), "file_columns", ["photo"])
    assert block_size(bundle, 64_000_000, 2) == 64_000_000 * 4 // (2 * 16 * 6 * 512)
