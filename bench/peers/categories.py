"""Categorical columns, for the peers that support them natively."""

from __future__ import annotations

import pandas as pd
from job import PeerJob

MISSING = "(missing)"


def fill_missing_categories(job: PeerJob, rows: pd.DataFrame) -> pd.DataFrame:
    """Replace missing categories by a category of their own."""
    names = list(job.categories)
    return rows.assign(**{name: rows[name].fillna(MISSING).astype(str) for name in names})


def to_category_codes(job: PeerJob, rows: pd.DataFrame, train_rows: pd.DataFrame) -> pd.DataFrame:
    """Convert categorical columns to pandas categories of the training rows."""
    types = {
        name: pd.CategoricalDtype(train_rows[name].dropna().unique()) for name in job.categories
    }
    return rows.assign(
        **{
            name: rows[name].where(rows[name].isin(kind.categories)).astype(kind)
            for name, kind in types.items()
        }
    )
