"""Write a bundle from a model's members, and prove that it predicts what they predict."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.bundle.manifest import write_manifest
from fieldcraft.bundle.members import load_member
from fieldcraft.bundle.rows import Development
from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.contracts import Array, Json, Learner
from fieldcraft.core import catalogue, files
from fieldcraft.core.errors import BundleError

TOLERANCE = 1e-5  # of probabilities, or of the standardised target
FORMAT = "onnx"


def write_bundle(
    folder: Path,
    model: Path,
    rows: Development,
    about: Mapping[str, Any],
    progress: Callable[[str, float | None], None],
) -> Json:
    """Write the members, the reference profile and the manifest into an empty folder.

    Args:
        folder: where the bundle comes into being.
        model: folder that `fit_members` wrote.
        rows: the rows that the model was developed on.
        about: further entries of the manifest.
        progress: told how far it is.

    Returns:
        The manifest.
    """
    described = files.read_json(model / "model.json")
    learner: Learner = catalogue.load("learners", described["learner"])
    options = learner.options.model_validate(described["options"])
    form = catalogue.load("bundle.formats", FORMAT)
    members = []
    for number in range(described["members"]):
        progress(f"exporting member {number + 1} of {described['members']}", None)
        place = folder / "members" / str(number)
        place.mkdir(parents=True)
        member = load_member(learner, options, model / str(number), rows.task, rows.about)
        for name in ("encoders.json", "encoders.safetensors", "scale.json"):
            shutil.copyfile(model / str(number) / name, place / name)
        form.write(member.fitted, place / f"model{form.suffix}")
        members.append(
            {"folder": f"members/{number}", "format": form.name, "view": member.fitted.view}
        )
    training = np.unique(np.concatenate([fold.train for fold in rows.folds]))
    files.write_json(folder / "profile.json", reference_profile(rows, training))
    return write_manifest(
        folder,
        {
            "task": rows.task.name,
            "about": rows.about,
            "schema": rows.schema.as_json(),
            "learner": described["learner"],
            "title": described["title"],
            "members": members,
            **about,
        },
    )


def reference_profile(rows: Development, training: Array) -> Json:
    """What each column looked like in training, for telling drift later."""
    values = rows.values[training]
    return {
        column.name: catalogue.load("kinds", column.kind).describe(values[column.name])
        for column in rows.schema.columns
    }


def check_parity(folder: Path, model: Path, rows: Development) -> float:
    """Load a bundle and compare its predictions on judge rows with the trained model's.

    The rows are given as they were read, so reading, encoding and network are all compared.

    Returns:
        The largest difference of a probability, or of the standardised target.

    Raises:
        BundleError: a difference above 1e-5, or another decision.
    """
    bundle = load_bundle(folder)
    trained = pl.read_parquet(model / "predictions.parquet").filter(pl.col("part") == "judge")
    largest = 0.0
    for number, member in enumerate(bundle.members):
        mine = trained.filter(pl.col("fold") == number)
        expected = mine.select(pl.col("^out_.*$")).to_numpy()
        values = bundle.schema.apply(rows.frame[mine["position"].to_list()])
        found = member.outputs(values, bundle.task)
        unit = member.scale.get("deviation", 1.0)
        difference = float(np.abs(found - expected).max(initial=0.0)) / unit
        flipped = decisions_changed(bundle, found, expected)
        if not difference <= TOLERANCE or flipped:
            raise BundleError(
                "the packaged model does not predict what the trained model predicts",
                seen=f"member {number}: largest difference {difference:.2g} "
                f"(allowed {TOLERANCE:g}), {flipped} of {len(found):,} decisions changed",
                way_out="set model.learner to another learner, and please report this model",
            )
        largest = max(largest, difference)
    return largest


def decisions_changed(bundle: Bundle, found: Array, expected: Array) -> int:
    """How many rows are decided otherwise, ties within the tolerance left out."""
    if bundle.task.output == "value":
        return 0
    ranked = np.sort(expected, axis=1)
    clear = ranked[:, -1] - ranked[:, -2] > 2 * TOLERANCE
    return int((clear & (found.argmax(axis=1) != expected.argmax(axis=1))).sum())
