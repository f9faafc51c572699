"""Columns that are set aside are read as text and reach no model."""

from __future__ import annotations

import polars as pl

from fieldcraft.kinds._base import ExcludedKind


def test_cells_stay_what_they_say_and_no_encoder_is_made() -> None:
    kind = ExcludedKind()
    assert kind.parse(pl.Series([1, None, 3]), {}).to_list() == ["1", None, "3"]
    assert not kind.is_feature
    assert kind.encoder([]) is None
    assert kind.net(None, without_embeddings=True) is None
