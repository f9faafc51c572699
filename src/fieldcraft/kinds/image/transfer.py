"""Transfer of the weights of our own CNN from the bundle of another project."""

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

# The names of initializers in ONNX are the attributes of FusedNetwork, ImageEncoderNet and
# ConvBlock: renaming conv1, norm1, conv2, norm2, body or nets makes older bundles unusable here.
PARAMETER_PREFIX = "network.nets.image.body."
FOLDED_BIAS_SUFFIX = "_bias"  # the exporter appends it to the name of a folded bias
BATCH_NORM_PARAMETERS = ("weight", "bias", "running_mean", "running_var")
UNFOLDED_NORM_SUFFIX = ".norm2.weight"
BATCH_NORM_EPSILON = 1e-5  # the default of PyTorch


def find_bundle(name: str) -> Path | None:
    """Find a bundle by its folder, its archive or the folder of its project; None if not found."""
    path = resolve_path(name)
    if path.is_file() and path.suffix == ARCHIVE_SUFFIX:
        return path
    folders = (path, path / "bundle")
    return next((folder for folder in folders if (folder / MANIFEST_FILE).is_file()), None)


def load_transferred_weights(path: Path) -> dict[str, Array]:
    """Load the weights of the CNN in a bundle, by their names in `build_cnn`.

    The second batch normalization of each block is folded into the convolution before it.

    Raises:
        DataError: the bundle reads no photos, or reads them by another network.
        BundleError: it is not a valid bundle.
    """
    if path.is_file():
        with unpacked_bundle(path) as folder:
            return read_bundle_weights(folder, str(path))
    return read_bundle_weights(path, str(path))


def read_bundle_weights(folder: Path, name: str) -> dict[str, Array]:
    """Load the weights from the folder of a bundle; `name` is for error messages.

    Raises:
        DataError: the bundle reads no photos, or reads them by another network.
    """
    manifest = read_manifest(folder)
    kinds = sorted({column["kind"] for column in manifest["schema"]["columns"]})
    if "image" not in kinds:
        raise unusable_bundle_error(
            name, "no photo columns", f"columns of the kinds {truncated_list(kinds)}"
        )
    detail = "none of its models is a network over pixels"
    for member in manifest["members"]:
        weights = read_onnx_weights((folder / member["folder"] / "model.onnx").read_bytes())
        # Names and shapes together identify the architecture; bundles do not record it.
        if {key: array.shape for key, array in weights.items()} == list_expected_shapes():
            return weights
        if weights:
            detail = f"{len(weights)} arrays of another architecture in {member['folder']}"
    raise unusable_bundle_error(name, "no network of the architecture cnn", detail)


def read_onnx_weights(data: bytes) -> dict[str, Array]:
    """Read the weights of the image network in an ONNX file; {} if there is none."""
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
    """Fold the second batch normalization of a block into the convolution before it.

    The exporter does so itself, unless the network reads each photo twice: as it is and flipped.
    """
    weight, bias, mean, variance = (
        weights.pop(f"{block}.norm2.{parameter}") for parameter in BATCH_NORM_PARAMETERS
    )
    scale = weight / np.sqrt(variance + BATCH_NORM_EPSILON)
    kernel = f"{block}.conv2.weight"
    weights[kernel] = (weights[kernel] * scale[:, None, None, None]).astype(np.float32)
    weights[kernel + FOLDED_BIAS_SUFFIX] = (bias - mean * scale).astype(np.float32)


def list_expected_shapes() -> dict[str, tuple[int, ...]]:
    """The shapes of the weights of our own CNN in a bundle."""
    shape_by_name: dict[str, tuple[int, ...]] = {
        "0.weight": (CNN_STEM_CHANNELS, 3, 3, 3),
        "0.bias": (CNN_STEM_CHANNELS,),
    }
    for index, (in_channels, out_channels) in enumerate(
        pairwise((CNN_STEM_CHANNELS, *CNN_BLOCK_CHANNELS)), start=2
    ):
        shape_by_name[f"{index}.conv1.weight"] = (out_channels, in_channels, 3, 3)
        shape_by_name[f"{index}.conv2.weight"] = (out_channels, out_channels, 3, 3)
        shape_by_name[f"{index}.conv2.weight{FOLDED_BIAS_SUFFIX}"] = (out_channels,)
        shape_by_name |= {
            f"{index}.norm1.{parameter}": (out_channels,) for parameter in BATCH_NORM_PARAMETERS
        }
    return shape_by_name


def unusable_bundle_error(name: str, missing: str, detail: str) -> DataError:
    """The error for a bundle whose weights cannot be transferred."""
    return DataError(
        f"the bundle {name} cannot be used as encoder: it has {missing}",
        detail=detail,
        hint="give the bundle of a project whose champion is a network trained with encoder: cnn, "
        "or an ensemble with one; or leave encoder out",
    )
