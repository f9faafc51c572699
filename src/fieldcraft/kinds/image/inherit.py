"""The weights of our own network out of the bundle of another project with photos."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from fieldcraft.bundle.archive import SUFFIX, unpacked
from fieldcraft.bundle.manifest import NAME, read_manifest
from fieldcraft.contracts import Array
from fieldcraft.core.errors import DataError
from fieldcraft.core.optional import needs
from fieldcraft.core.words import listed
from fieldcraft.data.weights import place_of
from fieldcraft.kinds.image.scratch import STEM, WIDTHS

PREFIX = "network.nets.image.body."  # of our weights in a packaged network
BIAS = "_bias"  # of a convolution into which its normalisation was folded
NORM = ("weight", "bias", "running_mean", "running_var")
UNFOLDED = ".second_norm.weight"
EPSILON = 1e-5  # of a normalisation


def bundle_at(name: str) -> Path | None:
    """The bundle that a name leads to: its folder, its archive, or a project that has one."""
    place = place_of(name)
    if place.is_file() and place.suffix == SUFFIX:
        return place
    folders = (place, place / "bundle")
    return next((folder for folder in folders if (folder / NAME).is_file()), None)


def inherited_weights(place: Path) -> dict[str, Array]:
    """The weights of the network for photos in a bundle, by their names in the body of ours.

    Of a group's second convolution and its normalisation there is one kernel and one bias, as
    they were packaged.

    Raises:
        DataError: the bundle reads no photos, or by another network.
        BundleError: it is no bundle that can be trusted.
    """
    if place.is_file():
        with unpacked(place) as folder:
            return weights_in(folder, str(place))
    return weights_in(place, str(place))


def weights_in(folder: Path, name: str) -> dict[str, Array]:
    """The weights in the folder of a bundle, which errors call by a name.

    Raises:
        DataError: the bundle reads no photos, or by another network.
    """
    manifest = read_manifest(folder)
    kinds = sorted({column["kind"] for column in manifest["schema"]["columns"]})
    if "image" not in kinds:
        raise unfit_bundle(name, "no photos", f"columns of the kinds {listed(kinds)}")
    seen = "no member of it is a network over pixels"
    for member in manifest["members"]:
        found = weights_of((folder / member["folder"] / "model.onnx").read_bytes())
        if {key: array.shape for key, array in found.items()} == shapes():
            return found
        if found:
            seen = f"a network of {len(found)} other arrays in {member['folder']}"
    raise unfit_bundle(name, "no convolutional network of ours", seen)


def weights_of(data: bytes) -> dict[str, Array]:
    """The weights of the body of the network for photos in an ONNX file; {} if there is none."""
    needs("train")
    from onnx import load_model_from_string, numpy_helper

    graph = load_model_from_string(data).graph
    found = {
        part.name.removeprefix(PREFIX): numpy_helper.to_array(part)
        for part in graph.initializer
        if part.name.startswith(PREFIX)
    }
    for name in [name for name in found if name.endswith(UNFOLDED)]:
        fold(found, name.removesuffix(UNFOLDED))
    return found


def fold(weights: dict[str, Array], group: str) -> None:
    """Put a group's second normalisation into the kernel before it.

    The exporter does so itself, unless the network sees each photo twice, also mirrored.
    """
    gain, bias, mean, variance = (weights.pop(f"{group}.second_norm.{part}") for part in NORM)
    scale = gain / np.sqrt(variance + EPSILON)
    kernel = f"{group}.second.weight"
    weights[kernel] = (weights[kernel] * scale[:, None, None, None]).astype(np.float32)
    weights[kernel + BIAS] = (bias - mean * scale).astype(np.float32)


def shapes() -> dict[str, tuple[int, ...]]:
    """The shapes of the weights that our own network has when it is packaged."""
    found: dict[str, tuple[int, ...]] = {"0.weight": (STEM, 3, 3, 3), "0.bias": (STEM,)}
    for place, (before, after) in enumerate(pairwise((STEM, *WIDTHS)), start=2):
        found[f"{place}.first.weight"] = (after, before, 3, 3)
        found[f"{place}.second.weight"] = (after, after, 3, 3)
        found[f"{place}.second.weight{BIAS}"] = (after,)
        found |= {f"{place}.first_norm.{part}": (after,) for part in NORM}
    return found


def unfit_bundle(name: str, lacks: str, seen: str) -> DataError:
    """The error for a bundle whose weights cannot be taken over."""
    return DataError(
        f"the bundle {name} has {lacks} to begin with",
        seen=seen,
        way_out="give the bundle of a project whose champion is a network that learned photos with "
        "encoder: cnn, or a blend with one; or leave encoder out",
    )
