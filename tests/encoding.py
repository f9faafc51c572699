"""Encode rows in one go: read them, then learn from them or encode them."""

from __future__ import annotations

import polars as pl

from fieldcraft.bundle.encoder_set import EncoderSet
from fieldcraft.contracts import Encoded, Encoder
from fieldcraft.core.types import Array


def fit_and_encode(encoder: Encoder | EncoderSet, rows: pl.DataFrame, target: Array) -> Encoded:
    """What an encoder, or a set of them, learns from rows and makes of them."""
    return encoder.fit_transform(encoder.precompute(rows), target)


def encode(encoder: Encoder | EncoderSet, rows: pl.DataFrame) -> Encoded:
    """What an encoder, or a set of them, makes of rows."""
    return encoder.transform(encoder.precompute(rows))
