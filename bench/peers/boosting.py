"""LightGBM and CatBoost: their defaults, stopped when validation rows gain nothing for 50 rounds.

LightGBM may take 2,000 rounds instead of its 100, since it then stops by itself; CatBoost's own
limit is 1,000.
"""

from __future__ import annotations

import catboost
import lightgbm
import pandas as pd
from job import PeerJob, Predict, run
from words import fill_missing_words, to_category_codes

EARLY_STOPPING_ROUNDS = 50


def train_lightgbm(job: PeerJob) -> Predict:
    """LightGBM with categories as its own."""
    known = job.rows("train")

    def encode(rows: pd.DataFrame) -> pd.DataFrame:
        coded_rows = to_category_codes(job, rows, known)
        return coded_rows.set_axis([f"c{i}" for i in range(coded_rows.shape[1])], axis=1)

    kind = lightgbm.LGBMRegressor if job.is_regression else lightgbm.LGBMClassifier
    model = kind(n_estimators=2000, n_jobs=job.threads, random_state=job.seed, verbose=-1)
    model.fit(
        encode(known),
        job.y("train"),
        eval_set=[(encode(job.rows("val")), job.y("val"))],
        callbacks=[lightgbm.early_stopping(EARLY_STOPPING_ROUNDS, verbose=False)],
    )
    if job.is_regression:
        return lambda rows: model.predict(encode(rows))
    return lambda rows: job.spread_to_all_labels(model.predict_proba(encode(rows)), model.classes_)


def train_catboost(job: PeerJob) -> Predict:
    """CatBoost with categories as its own, and the best round on validation rows."""
    kind = catboost.CatBoostRegressor if job.is_regression else catboost.CatBoostClassifier
    model = kind(
        thread_count=job.threads,
        random_seed=job.seed,
        cat_features=list(job.categories),
        allow_writing_files=False,
        verbose=False,
    )
    model.fit(
        fill_missing_words(job, job.rows("train")),
        job.y("train"),
        eval_set=(fill_missing_words(job, job.rows("val")), job.y("val")),
        early_stopping_rounds=EARLY_STOPPING_ROUNDS,
        use_best_model=True,
    )
    if job.is_regression:
        return lambda rows: model.predict(fill_missing_words(job, rows))
    return lambda rows: job.spread_to_all_labels(
        model.predict_proba(fill_missing_words(job, rows)), model.classes_
    )


if __name__ == "__main__":
    run({"lightgbm": train_lightgbm, "catboost": train_catboost}, ["lightgbm", "catboost"])
