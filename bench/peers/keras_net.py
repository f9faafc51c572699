"""The network of many tutorials, in Keras on PyTorch.

Two hidden layers (128 and 64, ReLU, dropout 0.3), Adam with a learning rate of 0.001, batches of
32, at most 100 epochs, early stopping with a patience of ten epochs, and the best weights.
"""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "torch"  # before Keras is imported

import keras
import pandas as pd
import torch
from job import PeerJob, Predict, run
from keras import layers
from pipeline import build_preprocessor
from sklearn.preprocessing import StandardScaler

LOSS = {
    "binary": ("sigmoid", "binary_crossentropy"),
    "multiclass": ("softmax", "sparse_categorical_crossentropy"),
    "regression": ("linear", "mse"),
}


def build(job: PeerJob, inputs: int) -> keras.Model:
    """Build and compile the network for the task."""
    activation, loss = LOSS[job.task]
    outputs = len(job.labels) if job.task == "multiclass" else 1
    model = keras.Sequential(
        [
            keras.Input((inputs,)),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(outputs, activation=activation),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss)
    return model


def train(job: PeerJob) -> Predict:
    """Fit the network on preprocessed rows; a regression target is standardized."""
    torch.set_num_threads(job.threads)
    keras.utils.set_random_seed(job.seed)
    preprocessor = build_preprocessor(job)
    x, y = preprocessor.fit_transform(job.rows("train")), job.y("train")
    val_x, val_y = preprocessor.transform(job.rows("val")), job.y("val")
    target_scaler = StandardScaler()
    if job.is_regression:
        y = target_scaler.fit_transform(y[:, None])
        val_y = target_scaler.transform(val_y[:, None])
    model = build(job, x.shape[1])
    stop = keras.callbacks.EarlyStopping(patience=10, restore_best_weights=True)
    model.fit(
        x, y, validation_data=(val_x, val_y),
        batch_size=32, epochs=100, callbacks=[stop], verbose=0,
    )  # fmt: skip

    def predict(rows: pd.DataFrame) -> object:
        outputs = model.predict(preprocessor.transform(rows), batch_size=1024, verbose=0)
        if job.is_regression:
            return target_scaler.inverse_transform(outputs)
        if job.task == "binary":
            return job.spread_to_all_labels([[1 - p, p] for p in outputs[:, 0]], (0, 1))
        return outputs

    return predict


if __name__ == "__main__":
    run({"keras": train}, ["keras", "torch"])
