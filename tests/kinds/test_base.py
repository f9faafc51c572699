"""Excluded columns are read as text and are no features."""

from __future__ import annotations

import polars as pl

from fieldcraft.kinds._base import ExcludedKind


def test_excluded_columns_are_text_without_an_encoder() -> None:
    kind = ExcludedKind()
    assert kind.parse(pl.Series([1, None, 3]), {}).to_list() == ["1", None, "3"]
    assert not kind.is_feature
    assert kind.encoder([]) is None
    assert kind.net(None, without_embeddings=True) is None
