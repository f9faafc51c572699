"""Infer the kinds of columns from their cells."""

from __future__ import annotations

import polars as pl

from fieldcraft.core import catalog
from fieldcraft.data.column_profile import ColumnProfile, TypeInference


def infer_kind(profile: ColumnProfile) -> TypeInference:
    """The inference of the kind that is most confident of a column."""
    inferences = [kind.infer(profile) for kind in catalog.load_plugins("kinds")]
    most_confident: TypeInference = max(
        (inference for inference in inferences if inference), key=confidence_of
    )
    return most_confident


def confidence_of(inference: TypeInference) -> float:
    """The confidence of an inference."""
    return inference.confidence


def find_missing_markers(frame: pl.DataFrame) -> list[str]:
    """The markers of missing values in a table, such as ``?``."""
    return sorted(
        {
            marker
            for name in frame.columns
            for marker in ColumnProfile(frame[name]).missing_marker_counts
        }
    )
