"""Write a bundle from a model's members, and prove that it predicts what they predict."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.bundle.encoders import SHARED, share
from fieldcraft.bundle.manifest import write_manifest
from fieldcraft.bundle.runtime import Bundle, PackedMember, load_bundle
from fieldcraft.contracts import Array, Json, Learner
from fieldcraft.core import catalogue, files
from fieldcraft.core.errors import BundleError
from fieldcraft.data.table import Schema
from fieldcraft.develop.members import Member, load_member
from fieldcraft.develop.rows import Development, only
from fieldcraft.evidence import performance, profile

TOLERANCE = 1e-5  # of probabilities, or of the standardised target
FORMAT = "onnx"
Tell = Callable[[str, float | None], None]


@dataclass(frozen=True)
class Part:
    """A trained model that goes into a bundle, and its weight there."""

    folder: Path
    weight: float = 1.0


def parts_of(model: Path, places: Mapping[str, Path]) -> list[Part]:
    """The trained models that a model is made of: itself, or those that a blend names."""
    named = files.read_json(model / "model.json").get("parts")
    if not named:
        return [Part(model)]
    return [Part(places[name], weight) for name, weight in named.items()]


def used_by(parts: Sequence[Part], rows: Development) -> Development:
    """The rows with the columns that some trained models read."""
    used = [files.read_json(part.folder / "model.json").get("columns") for part in parts]
    if not all(used):
        return rows
    return only(rows, sorted({name for names in used for name in names}))


def members_of(part: Part, rows: Development) -> list[Member]:
    """The fitted members of a trained model, one for each fold."""
    described = files.read_json(part.folder / "model.json")
    learner: Learner = catalogue.load("learners", described["learner"])
    options = learner.options.model_validate(described["options"])
    return [
        load_member(learner, options, part.folder / str(number), rows.task, rows.about)
        for number in range(described["members"])
    ]


def write_bundle(
    folder: Path,
    parts: Sequence[Part],
    rows: Development,
    decided: pl.DataFrame,
    groups: Schema | None,
    about: Mapping[str, Any],
    progress: Tell,
) -> Json:
    """Write the members, the reference profile and the manifest into an empty folder.

    Args:
        folder: where the bundle comes into being; tables that it joins are there already.
        parts: the trained models that it predicts with.
        rows: the rows that the model was developed on.
        decided: what it says of judge rows.
        groups: columns by whose groups performance at work is told apart.
        about: further entries of the manifest.
        progress: told how far it is.

    Returns:
        The manifest.
    """
    packed = pack_members(folder, parts, rows, progress)
    files.write_json(folder / "profile.json", reference_profile(rows, decided))
    return write_manifest(
        folder,
        {
            "task": rows.task.name,
            "about": rows.about,
            "schema": rows.schema.as_json(),
            "members": packed,
            "performance": reference_loss(rows, decided, groups),
            **about,
        },
    )


def pack_members(
    folder: Path, parts: Sequence[Part], rows: Development, progress: Tell
) -> list[Json]:
    """Export the members of trained models into a bundle; what the manifest says of them."""
    form = catalogue.load("bundle.formats", FORMAT)
    packed = []
    for part in parts:
        members = members_of(part, rows)
        for path in sorted((part.folder / SHARED).glob("*")):
            share(path, folder / "members" / SHARED)
        for number, member in enumerate(members):
            progress(f"exporting {part.folder.name}, member {number + 1} of {len(members)}", None)
            place = folder / "members" / f"{part.folder.name}-{number}"
            place.mkdir(parents=True)
            for name in ("encoders.json", "encoders.safetensors", "scale.json"):
                shutil.copyfile(part.folder / str(number) / name, place / name)
            form.write(member.fitted, place / f"model{form.suffix}")
            packed.append(
                {
                    "folder": f"members/{place.name}",
                    "format": form.name,
                    "view": member.fitted.view,
                    "fold": number,
                    "weight": part.weight / len(members),
                }
            )
    return packed


def reference_profile(rows: Development, decided: pl.DataFrame) -> Json:
    """What columns and predictions looked like, for telling drift later.

    Counts are those of rows that were not trained on; what is new is told by training rows. Where
    each row was judged by one of several members, their average says something else of it: then
    predictions have bins, but no counts that later ones may be compared with.

    Args:
        rows: the rows that the model was developed on.
        decided: what it says of rows that it was not trained on.
    """
    training = np.unique(np.concatenate([fold.train for fold in rows.folds]))
    held = np.unique(np.concatenate([[*fold.tune, *fold.judge] for fold in rows.folds]))
    columns = {}
    for column in rows.schema.columns:
        measures = catalogue.load("kinds", column.kind).measures(rows.values[column.name])
        columns[column.name] = {
            name: profile.learned(values[training], values[held])
            for name, values in measures.items()
        }
    predictions = {name: profile.learned(v, v) for name, v in profile.said(decided).items()}
    return {
        "rows": len(held), "columns": columns, "members": len(rows.folds),
        "predicted": decided.height, "predictions": predictions,
    }  # fmt: skip


def reference_loss(rows: Development, decided: pl.DataFrame, groups: Schema | None) -> Json | None:
    """The loss on rows that the model was judged on, by groups; None of many labels at once."""
    if rows.task.output == "labels":
        return None
    places = decided["position"].to_list()
    known = performance.reference(decided, rows.y[places])
    losses = performance.losses(decided, rows.y[places], known["unit"])
    told: Json = {}
    if groups is not None:
        told = performance.by_groups(losses, groups.apply(rows.frame[places]))
        for column in groups.columns:
            told[column.name]["column"] = column.as_json()
    return {**known, "groups": told}


def check_parity(folder: Path, parts: Sequence[Part], rows: Development) -> float:
    """Load a bundle and compare its predictions on judge rows with the trained model's.

    The rows are given as they were read, so reading, encoding and network are all compared.

    Returns:
        The largest difference of a probability, or of the standardised target.

    Raises:
        BundleError: a difference above 1e-5, or another decision.
    """
    bundle = load_bundle(folder)
    packed = iter(bundle.members)
    largest = 0.0
    for part in parts:
        trained = pl.read_parquet(part.folder / "predictions.parquet")
        judged = trained.filter(pl.col("part") == "judge")
        for number in range(int(judged["fold"].n_unique())):
            mine = judged.filter(pl.col("fold") == number)
            name = f"{part.folder.name}, member {number}"
            largest = max(largest, gap(bundle, next(packed), mine, rows, name))
    return largest


def gap(
    bundle: Bundle, member: PackedMember, trained: pl.DataFrame, rows: Development, name: str
) -> float:
    """The largest difference between what a packed member and the trained one say.

    Raises:
        BundleError: it is above 1e-5, or a decision is another.
    """
    expected = trained.select(pl.col("^out_.*$")).to_numpy()
    frame = bundle.joined(rows.frame[trained["position"].to_list()])
    read = member.encoders.read(bundle.schema.apply(frame))
    found = member.outputs(read, bundle.task)
    unit = float(member.scale.get("deviation", 1.0))
    difference = float(np.abs(found - expected).max(initial=0.0)) / unit
    flipped = decisions_changed(bundle, found, expected)
    if not difference <= TOLERANCE or flipped:
        raise BundleError(
            "the packaged model does not predict what the trained model predicts",
            seen=f"{name}: largest difference {difference:.2g} "
            f"(allowed {TOLERANCE:g}), {flipped} of {len(found):,} decisions changed",
            way_out="set model.learner to another learner, and please report this model",
        )
    return difference


def decisions_changed(bundle: Bundle, found: Array, expected: Array) -> int:
    """How many decisions are another, those within the tolerance of a tie left out."""
    if bundle.task.output == "value":
        return 0
    if bundle.task.output == "labels":
        clear = np.abs(expected - 0.5) > 2 * TOLERANCE
        return int((clear & ((found > 0.5) != (expected > 0.5))).sum())
    ranked = np.sort(expected, axis=1)
    clear = ranked[:, -1] - ranked[:, -2] > 2 * TOLERANCE
    return int((clear & (found.argmax(axis=1) != expected.argmax(axis=1))).sum())
