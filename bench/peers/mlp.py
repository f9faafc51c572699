"""scikit-learn's multi-layer perceptron with its defaults.

It does not use validation rows and stops by its training loss, so it is trained on those rows too.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from job import PeerJob, Predict, run
from pipeline import build_preprocessor
from sklearn.compose import TransformedTargetRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def train(job: PeerJob) -> Predict:
    """Fit the classifier, or the regressor on a standardized target."""
    rows = pd.concat([job.rows("train"), job.rows("val")])
    y = np.concatenate([job.y("train"), job.y("val")])
    if job.is_regression:
        network = MLPRegressor(random_state=job.seed)
        scaled = TransformedTargetRegressor(network, transformer=StandardScaler())
        model = make_pipeline(build_preprocessor(job), scaled).fit(rows, y)
        return model.predict
    model = make_pipeline(build_preprocessor(job), MLPClassifier(random_state=job.seed)).fit(
        rows, y
    )
    return lambda test: job.spread_to_all_labels(model.predict_proba(test), model.classes_)


if __name__ == "__main__":
    run({"sklearn_mlp": train}, ["scikit-learn"])
