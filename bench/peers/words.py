"""Columns of words, for the peers that take them as they are."""

from __future__ import annotations

import pandas as pd
from job import PeerJob

MISSING = "(missing)"


def fill_missing_words(job: PeerJob, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose missing words are a word of their own."""
    names = list(job.categories)
    return rows.assign(**{name: rows[name].fillna(MISSING).astype(str) for name in names})


def to_category_codes(job: PeerJob, rows: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Rows with pandas' category columns, of the words that the training rows hold."""
    types = {name: pd.CategoricalDtype(known[name].dropna().unique()) for name in job.categories}
    return rows.assign(
        **{
            name: rows[name].where(rows[name].isin(kind.categories)).astype(kind)
            for name, kind in types.items()
        }
    )
