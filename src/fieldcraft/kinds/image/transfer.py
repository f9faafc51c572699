"""The weights of our own network out of the bundle of another project with photos."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from fieldcraft.bundle.archive import ARCHIVE_SUFFIX, unpacked_bundle
from fieldcraft.bundle.manifest import MANIFEST_FILE, read_manifest
from fieldcraft.core.errors import DataError
from fieldcraft.core.extras import require_extra
from fieldcraft.core.formatting import truncated_list
from fieldcraft.core.types import Array
from fieldcraft.data.pretrained_weights import resolve_path
from fieldcraft.kinds.image.architectures import CNN_BLOCK_CHANNELS, CNN_STEM_CHANNELS

PARAMETER_PREFIX = "network.nets.image.body."  # of our weights in a packaged network
FOLDED_BIAS_SUFFIX = "_bias"  # of a convolution into which its normalisation was folded
BATCH_NORM_PARAMETERS = ("weight", "bias", "running_mean", "running_var")
UNFOLDED_NORM_SUFFIX = ".second_norm.weight"
BATCH_NORM_EPSILON = 1e-5  # of a normalisation


def find_bundle(name: str) -> Path | None:
    """The bundle that a name leads to: its folder, its archive, or a project that has one."""
    path = resolve_path(name)
    if path.is_file() and path.suffix == ARCHIVE_SUFFIX:
        return path
    folders = (path, path / "bundle")
    return next((folder for folder in folders if (folder / MANIFEST_FILE).is_file()), None)


def load_transferred_weights(path: Path) -> dict[str, Array]:
    """The weights of the network for photos in a bundle, by their names in the body of ours.

    Of a group's second convolution and its normalisation there is one kernel and one bias, as
    they were packaged.

    Raises:
        DataError: the bundle reads no photos, or by another network.
        BundleError: it is no bundle that can be trusted.
    """
    if path.is_file():
        with unpacked_bundle(path) as folder:
            return read_bundle_weights(folder, str(path))
    return read_bundle_weights(path, str(path))


def read_bundle_weights(folder: Path, name: str) -> dict[str, Array]:
    """The weights in the folder of a bundle, which errors call by a name.

    Raises:
        DataError: the bundle reads no photos, or by another network.
    """
    manifest = read_manifest(folder)
    kinds = sorted({column["kind"] for column in manifest["schema"]["columns"]})
    if "image" not in kinds:
        raise unusable_bundle_error(
            name, "no photos", f"columns of the kinds {truncated_list(kinds)}"
        )
    detail = "no member of it is a network over pixels"
    for member in manifest["members"]:
        weights = read_onnx_weights((folder / member["folder"] / "model.onnx").read_bytes())
        if {key: array.shape for key, array in weights.items()} == list_expected_shapes():
            return weights
        if weights:
            detail = f"a network of {len(weights)} other arrays in {member['folder']}"
    raise unusable_bundle_error(name, "no convolutional network of ours", detail)


def read_onnx_weights(data: bytes) -> dict[str, Array]:
    """The weights of the body of the network for photos in an ONNX file; {} if there is none."""
    require_extra("train")
    from onnx import load_model_from_string, numpy_helper

    graph = load_model_from_string(data).graph
    weights = {
        initializer.name.removeprefix(PARAMETER_PREFIX): numpy_helper.to_array(initializer)
        for initializer in graph.initializer
        if initializer.name.startswith(PARAMETER_PREFIX)
    }
    for name in [name for name in weights if name.endswith(UNFOLDED_NORM_SUFFIX)]:
        fold_batch_norm(weights, name.removesuffix(UNFOLDED_NORM_SUFFIX))
    return weights


def fold_batch_norm(weights: dict[str, Array], block: str) -> None:
    """Put a group's second normalisation into the kernel before it.

    The exporter does so itself, unless the network sees each photo twice, also mirrored.
    """
    weight, bias, mean, variance = (
        weights.pop(f"{block}.second_norm.{parameter}") for parameter in BATCH_NORM_PARAMETERS
    )
    scale = weight / np.sqrt(variance + BATCH_NORM_EPSILON)
    kernel = f"{block}.second.weight"
    weights[kernel] = (weights[kernel] * scale[:, None, None, None]).astype(np.float32)
    weights[kernel + FOLDED_BIAS_SUFFIX] = (bias - mean * scale).astype(np.float32)


def list_expected_shapes() -> dict[str, tuple[int, ...]]:
    """The shapes of the weights that our own network has when it is packaged."""
    shape_by_name: dict[str, tuple[int, ...]] = {
        "0.weight": (CNN_STEM_CHANNELS, 3, 3, 3),
        "0.bias": (CNN_STEM_CHANNELS,),
    }
    for index, (in_channels, out_channels) in enumerate(
        pairwise((CNN_STEM_CHANNELS, *CNN_BLOCK_CHANNELS)), start=2
    ):
        shape_by_name[f"{index}.first.weight"] = (out_channels, in_channels, 3, 3)
        shape_by_name[f"{index}.second.weight"] = (out_channels, out_channels, 3, 3)
        shape_by_name[f"{index}.second.weight{FOLDED_BIAS_SUFFIX}"] = (out_channels,)
        shape_by_name |= {
            f"{index}.first_norm.{parameter}": (out_channels,)
            for parameter in BATCH_NORM_PARAMETERS
        }
    return shape_by_name


def unusable_bundle_error(name: str, missing: str, detail: str) -> DataError:
    """The error for a bundle whose weights cannot be taken over."""
    return DataError(
        f"the bundle {name} has {missing} to begin with",
        detail=detail,
        hint="give the bundle of a project whose champion is a network that learned photos with "
        "encoder: cnn, or a blend with one; or leave encoder out",
    )
