"""TabM and RealMLP of pytabkit with their default settings.

They accept no missing numbers, so these are imputed by the median. The best epoch is chosen by log
loss, because probabilities are evaluated; their default is the error rate.
"""

from __future__ import annotations

import pandas as pd
from categories import fill_missing_categories
from job import PeerJob, Predict, run
from pytabkit import (
    RealMLP_TD_Classifier,
    RealMLP_TD_Regressor,
    TabM_D_Classifier,
    TabM_D_Regressor,
)

MODEL_CLASSES = {
    "tabm": (TabM_D_Classifier, TabM_D_Regressor),
    "realmlp": (RealMLP_TD_Classifier, RealMLP_TD_Regressor),
}


def train(job: PeerJob) -> Predict:
    """Fit the network of the job, with the validation rows for early stopping."""
    train_rows = job.rows("train")
    medians = train_rows.drop(columns=list(job.categories)).median()

    def prepare(rows: pd.DataFrame) -> pd.DataFrame:
        return fill_missing_categories(job, rows).fillna(medians)

    classifier, regressor = MODEL_CLASSES[job.method]
    common = {"random_state": job.seed, "n_threads": job.threads, "device": "cpu"}
    if job.is_regression:
        model = regressor(**common)
    else:
        model = classifier(**common, val_metric_name="cross_entropy")
    model.fit(
        prepare(train_rows), job.y("train"),
        X_val=prepare(job.rows("val")), y_val=job.y("val"),
        cat_col_names=list(job.categories),
    )  # fmt: skip
    if job.is_regression:
        return lambda rows: model.predict(prepare(rows))
    return lambda rows: job.spread_to_all_labels(model.predict_proba(prepare(rows)), model.classes_)


if __name__ == "__main__":
    run({"tabm": train, "realmlp": train}, ["pytabkit", "torch"])
