"""Image networks of Keras and fastai, trained from scratch for a given time.

    python photo_nets.py METHOD PHOTOS SECONDS

METHOD: ``keras`` (the convolutional network of its tutorials), ``resnet18`` or ``xresnet18`` (of
fastai, with its defaults: one cycle, its own augmentation). PHOTOS: an ``.npz`` file of `train_x`
and `test_x` (images, side, side, 3; bytes), `train_y` and `test_y` (class numbers). Prints accuracy
and macro F1 of the test images, the epochs and the seconds as JSON.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import accuracy_score, f1_score

os.environ["KERAS_BACKEND"] = "torch"  # before Keras is imported
VALIDATION_FRACTION = 0.15  # of the training images, for early stopping
MAX_EPOCHS = 200
Photos = dict[str, Any]


def train_keras(photos: Photos, seconds: float) -> tuple[Any, int]:
    """Train three convolutional blocks with Adam in batches of 32; keep the best epoch."""
    import keras
    from keras import layers

    start = time.monotonic()

    class StopInTime(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if (time.monotonic() - start) * (epoch + 2) / (epoch + 1) > seconds:
                self.model.stop_training = True

    classes = int(photos["train_y"].max()) + 1
    blocks = [
        layer
        for width in (32, 64, 128)
        for layer in (
            layers.Conv2D(width, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
        )
    ]
    model = keras.Sequential(
        [
            keras.Input(photos["train_x"].shape[1:]),
            layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.Rescaling(1 / 255),
            *blocks, layers.Dropout(0.2), layers.Flatten(), layers.Dense(128, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ]
    )  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    stop = keras.callbacks.EarlyStopping(patience=10, restore_best_weights=True)
    history = model.fit(
        photos["train_x"].astype("float32"), photos["train_y"],
        validation_split=VALIDATION_FRACTION,
        epochs=MAX_EPOCHS, callbacks=[stop, StopInTime()], verbose=0,
    )  # fmt: skip
    probabilities = model.predict(photos["test_x"].astype("float32"), verbose=0)
    return probabilities.argmax(1), len(history.history["loss"])


def declare_operators() -> None:
    """Declare torchvision's compiled operators, which a CPU-only torch lacks; none is used here."""
    module_spec = find_spec("torchvision")
    assert module_spec is not None
    assert module_spec.submodule_search_locations is not None
    code = (Path(module_spec.submodule_search_locations[0]) / "_meta_registrations.py").read_text(
        "utf-8"
    )
    operators = {
        a or b for a, b in re.findall(r'register_meta\("(\w+)"\)|torchvision::(\w+)', code)
    }
    library = torch.library.Library("torchvision", "DEF")
    for name in sorted(operators):
        library.define(f"{name}(Tensor x) -> Tensor")
    declare_operators.kept = library  # type: ignore[attr-defined]  # keeps a reference to it


def train_fastai(photos: Photos, seconds: float, name: str) -> tuple[Any, int]:
    """Train one cycle over as many epochs as the time allows, given the time of the first."""
    declare_operators()
    from fastai.vision import all as fv

    folder_root = Path(sys.argv[2]).with_suffix("")
    for part in ("train", "test"):
        for i, (pixels, y) in enumerate(zip(photos[f"{part}_x"], photos[f"{part}_y"], strict=True)):
            folder = folder_root / part / str(y)
            folder.mkdir(parents=True, exist_ok=True)
            fv.PILImage.create(pixels).save(folder / f"{i:06}.png")
    side = photos["train_x"].shape[1]
    loaders = fv.ImageDataLoaders.from_folder(
        folder_root / "train", valid_pct=VALIDATION_FRACTION, seed=0, num_workers=0, bs=64,
        item_tfms=fv.Resize(side),
        batch_tfms=fv.aug_transforms(),
    )  # fmt: skip

    def learner() -> Any:
        if name == "resnet18":
            return fv.vision_learner(loaders, fv.resnet18, pretrained=False, metrics=fv.accuracy)
        return fv.Learner(loaders, fv.xresnet18(n_out=loaders.c), metrics=fv.accuracy)

    start = time.monotonic()
    with learner().no_bar() as trial, trial.no_logging():
        trial.fit_one_cycle(1)
    epoch_seconds = time.monotonic() - start
    epochs = min(MAX_EPOCHS, max(1, math.floor((seconds - epoch_seconds) / epoch_seconds)))
    final = learner()
    with final.no_bar(), final.no_logging():
        final.fit_one_cycle(epochs)
        files = sorted((folder_root / "test").rglob("*.png"), key=lambda path: path.stem)
        predicted_classes = final.get_preds(dl=loaders.test_dl(files))[0].argmax(1).numpy()
    return np.array([int(word) for word in loaders.vocab])[predicted_classes], epochs


def main() -> None:
    """Train the network and print its metrics."""
    method, photos_path, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    torch.set_num_threads(2)
    photos = dict(np.load(photos_path))
    start = time.monotonic()
    if method == "keras":
        predicted, epochs = train_keras(photos, seconds)
    else:
        predicted, epochs = train_fastai(photos, seconds, method)
    result = {
        "method": method, "epochs": epochs, "seconds": time.monotonic() - start,
        "accuracy": accuracy_score(photos["test_y"], predicted),
        "macro_f1": f1_score(photos["test_y"], predicted, average="macro"),
    }  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    main()
