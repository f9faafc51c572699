"""Preprocessing for networks: median imputation, standardized numbers, one-hot categories."""

from __future__ import annotations

from job import PeerJob
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def build_preprocessor(job: PeerJob) -> ColumnTransformer:
    """Return a new transformer of a job's rows to a dense numeric array."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    categories = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer(
        [
            ("categories", categories, list(job.categories)),
            ("numbers", numbers, make_column_selector(dtype_include="number")),
        ]
    )
