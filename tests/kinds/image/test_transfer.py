"""Transfer of image networks from the bundle of another project."""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from fieldcraft.bundle.archive import pack_bundle
from fieldcraft.bundle.encoder_set import EncoderSet
from fieldcraft.bundle.manifest import write_manifest
from fieldcraft.core.errors import BundleError, DataError
from fieldcraft.core.types import Array
from fieldcraft.data.schema import Column, Schema
from fieldcraft.fit.network import FusedNetwork
from fieldcraft.fit.onnx_export import export_network
from fieldcraft.fit.trunk import MLP
from fieldcraft.kinds.image.encode import ImageEncoder
from fieldcraft.kinds.image.net import ImageEncoderNet
from fieldcraft.kinds.image.transfer import (
    find_bundle,
    list_expected_shapes,
    load_transferred_weights,
)
from tests.encoding import fit_and_encode
from tests.images import save_image

ROWS = 40


def write_bundle(folder: Path, kind: str, model: bytes) -> Path:
    """Write a minimal bundle with one member."""
    member = folder / "members" / "network-0"
    member.mkdir(parents=True)
    (member / "model.onnx").write_bytes(model)
    (member / "encoders.json").write_text("{}", "utf-8")
    manifest = {
        "task": "binary", "target_spec": {}, "calibration": {}, "tables": [],
        "schema": Schema((Column("x", kind),)).as_json(),
        "members": [{"folder": "members/network-0", "format": "onnx", "input_format": "tensors"}],
    }  # fmt: skip
    write_manifest(folder, manifest)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    folder = tmp_path_factory.mktemp("photos")
    paths = [save_image(folder / f"{i}.png", i, ("disc", "square")[i % 2]) for i in range(ROWS)]
    return pl.DataFrame({"p": paths})


@pytest.fixture(scope="module")
def trained(photos: pl.DataFrame) -> tuple[FusedNetwork, dict[str, Array]]:
    """A trained network, whose normalization layers have changed."""
    torch.manual_seed(0)
    encoder = ImageEncoder([Column("p", "image")])
    tensors = fit_and_encode(encoder, photos, np.zeros((ROWS, 1))).tensors()
    network = FusedNetwork(
        {"image": ImageEncoderNet(encoder)},
        lambda feature_widths, n_outputs: MLP(
            feature_widths, n_outputs, hidden_sizes=(), dropout=0.0
        ),
        2, lambda raw: raw,
    )  # fmt: skip
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.5, 0.5)
            module.momentum = 1.0
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("fieldcraft.kinds.image.net.augment_batch", lambda photos, allow_flip: photos)
        network.logits({"image": torch.as_tensor(tensors["image"])})
    return network.eval(), tensors


@pytest.fixture(scope="module")
def bundle(
    trained: tuple[FusedNetwork, dict[str, Array]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("first") / "bundle"
    return write_bundle(folder, "image", export_network(*trained))


def compute_features(net: ImageEncoderNet, tensors: dict[str, Array]) -> Array:
    with torch.no_grad():
        return np.asarray(net({"image": torch.as_tensor(tensors["image"])}))


def start_from_bundle(
    bundle: Path, photos: pl.DataFrame, **options: Any
) -> tuple[ImageEncoder, ImageEncoderNet]:
    """Return an encoder initialized from a bundle, and its net."""
    encoder = ImageEncoder([Column("p", "image", {"encoder": str(bundle), **options})])
    fit_and_encode(encoder, photos, np.zeros((ROWS, 1)))
    return encoder, ImageEncoderNet(encoder)


def test_the_network_of_the_bundle_is_transferred(
    bundle: Path, photos: pl.DataFrame, trained: tuple[FusedNetwork, dict[str, Array]]
) -> None:
    network, tensors = trained
    _, net = start_from_bundle(bundle, photos)
    before: Any = network.nets["image"]
    np.testing.assert_allclose(
        compute_features(net.eval(), tensors), compute_features(before, tensors), atol=1e-4
    )


def test_a_network_with_flip_averaging_is_transferred(
    bundle: Path, trained: tuple[FusedNetwork, dict[str, Array]], tmp_path: Path
) -> None:
    network, tensors = trained
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network.nets["image"], "use_flip", not network.nets["image"].use_flip)
        other = write_bundle(tmp_path / "bundle", "image", export_network(network, tensors))
    result, same = load_transferred_weights(other), load_transferred_weights(bundle)
    assert result.keys() == same.keys()
    for name, array in result.items():
        np.testing.assert_allclose(array, same[name], atol=1e-5, err_msg=name)


def test_transferred_weights_are_stable_in_training_mode(
    bundle: Path,
    photos: pl.DataFrame,
    trained: tuple[FusedNetwork, dict[str, Array]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "fieldcraft.kinds.image.net.augment_batch", lambda photos, allow_flip: photos
    )
    network, tensors = trained
    _, net = start_from_bundle(bundle, photos)
    before: Any = network.nets["image"]
    expected, result = compute_features(before, tensors), compute_features(net.train(), tensors)
    assert np.corrcoef(expected.ravel(), result.ravel())[0, 1] > 0.99
    assert np.abs(result - expected).mean() < 0.1 * expected.std()


def test_transferred_weights_have_a_lower_learning_rate(bundle: Path, photos: pl.DataFrame) -> None:
    _, net = start_from_bundle(bundle, photos)
    assert {getattr(p, "lr_scale", 1.0) for p in net.body.parameters()} == {0.25}


def test_other_image_sizes_are_supported(bundle: Path, photos: pl.DataFrame) -> None:
    encoder, net = start_from_bundle(bundle, photos, image_size=64)
    assert encoder.side == 64
    result = net({"image": torch.zeros(2, 1, 64, 64, 3, dtype=torch.uint8)})
    assert bool(result.isfinite().all())


def test_a_restored_model_does_not_need_the_bundle(
    bundle: Path, photos: pl.DataFrame, tmp_path: Path
) -> None:
    moved = shutil.copytree(bundle, tmp_path / "bundle")
    encoders = EncoderSet(
        Schema((Column("p", "image", {"encoder": str(moved), "finetune": True}),))
    )
    fit_and_encode(encoders, photos, np.zeros((ROWS, 1)))
    encoders.save(tmp_path / "0")
    weights = encoders.build_nets()["image"].state_dict()
    shutil.rmtree(moved)
    again = EncoderSet.load(tmp_path / "0")
    again.transform(again.precompute(photos)).tensors()
    again.build_nets()["image"].load_state_dict(weights)


def test_weights_are_loaded_from_archives_and_projects(bundle: Path, tmp_path: Path) -> None:
    pack_bundle(bundle, tmp_path / "b.zip")
    assert find_bundle(str(bundle.parent)) == find_bundle(str(bundle)) == bundle
    expected = load_transferred_weights(bundle)
    result = load_transferred_weights(tmp_path / "b.zip")
    assert {name: array.shape for name, array in result.items()} == list_expected_shapes()
    for name, array in expected.items():
        np.testing.assert_array_equal(result[name], array)
    assert find_bundle(str(tmp_path)) is find_bundle("a/b") is None


def test_a_bundle_without_images_is_an_error(bundle: Path, tmp_path: Path) -> None:
    model = (bundle / "members" / "network-0" / "model.onnx").read_bytes()
    with pytest.raises(DataError, match="has no photo columns") as error:
        load_transferred_weights(write_bundle(tmp_path / "b", "number", model))
    assert "number" in error.value.detail


def test_a_bundle_of_another_architecture_is_an_error(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    names = count()
    for parts in ((), ("network.nets.image.body.body.weight",)):
        weights = [helper.make_tensor(name, TensorProto.FLOAT, [1], [0.0]) for name in parts]
        graph = helper.make_graph([], "g", [], [], weights)
        model = helper.make_model(graph).SerializeToString()
        with pytest.raises(DataError, match="no network of the architecture cnn") as error:
            load_transferred_weights(write_bundle(tmp_path / str(next(names)), "image", model))
        assert "encoder: cnn" in error.value.hint


def test_a_modified_bundle_is_rejected(bundle: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(bundle, tmp_path / "bundle")
    (changed / "members" / "network-0" / "model.onnx").write_bytes(b"other")
    with pytest.raises(BundleError, match="cannot be trusted"):
        load_transferred_weights(changed)


def test_a_transferred_network_does_not_support_lora(bundle: Path) -> None:
    encoder = ImageEncoder([Column("p", "image", {"encoder": str(bundle), "finetune": "lora"})])
    with pytest.raises(DataError, match="trained as a whole"):
        encoder.precompute(pl.DataFrame({"p": ["x"]}))
