"""AutoGluon's two networks with their defaults: no bagging, no stacking, no ensemble.

AutoGluon gets the main metric as `eval_metric`, and uses it for early stopping.
"""

from __future__ import annotations

import tempfile

import pandas as pd
from autogluon.tabular import TabularPredictor
from job import TARGET, PeerJob, Predict, run

METRIC = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "root_mean_squared_error"}


def train(job: PeerJob, network: str) -> Predict:
    """Fit one kind of network, with the validation rows for tuning."""
    train, val = (job.rows(part).assign(**{TARGET: job.y(part)}) for part in ("train", "val"))
    folder = tempfile.mkdtemp(dir=job.folder)  # deleted with the job
    predictor = TabularPredictor(
        label=TARGET, problem_type=job.task, eval_metric=METRIC[job.task],
        path=folder, verbosity=0,
    )  # fmt: skip
    predictor.fit(
        train,
        tuning_data=val,
        hyperparameters={network: {}},
        num_bag_folds=0,
        num_stack_levels=0,
        dynamic_stacking=False,
        fit_weighted_ensemble=False,
        num_cpus=job.threads,
        num_gpus=0,
    )

    def predict(rows: pd.DataFrame) -> object:
        if job.is_regression:
            return predictor.predict(rows)
        probabilities = predictor.predict_proba(rows)
        return job.spread_to_all_labels(probabilities.to_numpy(), probabilities.columns)

    return predict


if __name__ == "__main__":
    run(
        {
            "ag_nn_torch": lambda job: train(job, "NN_TORCH"),
            "ag_fastai": lambda job: train(job, "FASTAI"),
        },
        ["autogluon.tabular", "fastai", "torch"],
    )
