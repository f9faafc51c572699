"""LightGBM and CatBoost with their defaults and early stopping.

Training stops after 50 rounds without an improvement. LightGBM may therefore use 2,000 rounds
instead of its default 100; CatBoost's default limit is 1,000.
"""

from __future__ import annotations

import catboost
import lightgbm
import pandas as pd
from categories import fill_missing_categories, to_category_codes
from job import PeerJob, Predict, run

EARLY_STOPPING_ROUNDS = 50


def train_lightgbm(job: PeerJob) -> Predict:
    """Train LightGBM with native categories."""
    train_rows = job.rows("train")

    def encode(rows: pd.DataFrame) -> pd.DataFrame:
        coded_rows = to_category_codes(job, rows, train_rows)
        return coded_rows.set_axis([f"c{i}" for i in range(coded_rows.shape[1])], axis=1)

    model_class = lightgbm.LGBMRegressor if job.is_regression else lightgbm.LGBMClassifier
    model = model_class(n_estimators=2000, n_jobs=job.threads, random_state=job.seed, verbose=-1)
    model.fit(
        encode(train_rows),
        job.y("train"),
        eval_set=[(encode(job.rows("val")), job.y("val"))],
        callbacks=[lightgbm.early_stopping(EARLY_STOPPING_ROUNDS, verbose=False)],
    )
    if job.is_regression:
        return lambda rows: model.predict(encode(rows))
    return lambda rows: job.spread_to_all_labels(model.predict_proba(encode(rows)), model.classes_)


def train_catboost(job: PeerJob) -> Predict:
    """Train CatBoost with native categories, and keep the best round on validation rows."""
    model_class = catboost.CatBoostRegressor if job.is_regression else catboost.CatBoostClassifier
    model = model_class(
        thread_count=job.threads,
        random_seed=job.seed,
        cat_features=list(job.categories),
        allow_writing_files=False,
        verbose=False,
    )
    model.fit(
        fill_missing_categories(job, job.rows("train")),
        job.y("train"),
        eval_set=(fill_missing_categories(job, job.rows("val")), job.y("val")),
        early_stopping_rounds=EARLY_STOPPING_ROUNDS,
        use_best_model=True,
    )
    if job.is_regression:
        return lambda rows: model.predict(fill_missing_categories(job, rows))
    return lambda rows: job.spread_to_all_labels(
        model.predict_proba(fill_missing_categories(job, rows)), model.classes_
    )


if __name__ == "__main__":
    run({"lightgbm": train_lightgbm, "catboost": train_catboost}, ["lightgbm", "catboost"])
