"""Image networks are trained, saved, restored and exported."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from fieldcraft.bundle.encoder_set import EncoderSet
from fieldcraft.contracts import FittedModel, TrainingJob
from fieldcraft.core.errors import DataError
from fieldcraft.core.types import Array
from fieldcraft.data.schema import Column, Schema
from fieldcraft.fit.mixup import MixupPlan
from fieldcraft.kinds.image import architectures
from fieldcraft.kinds.image.hf_backbone import load_image_backbone
from fieldcraft.kinds.image.pretrained import load_image_encoder
from tests.column_networks import fit_column, run_onnx, save_and_restore
from tests.encoding import encode, fit_and_encode
from tests.images import draw_image, save_image
from tests.kinds.image.tiny_backbones import write_tiny_backbone

ROWS = 24
BROKEN, MISSING = 5, 7


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Cache exported networks in a test folder, and give named networks few channels."""
    small = {"resnet18": ("basic", (1, 1), (8, 16)), "resnet50": ("bottleneck", (1, 1), (8, 16))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIELDCRAFT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(architectures, "RESNETS", small)
        patch.setattr(architectures, "VIT_WIDTH", 24)
        patch.setattr(architectures, "VIT_LAYERS", 2)
        yield


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small pretrained networks."""
    folder = tmp_path_factory.mktemp("tiny")
    for name in ("resnet", "convnext", "vit", "dinov2"):
        write_tiny_backbone(folder, name)
    return folder


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, Array]:
    """Images of discs and squares with their classes; one is missing and one broken."""
    folder = tmp_path_factory.mktemp("photos")
    paths: list[str | None] = [
        save_image(folder / f"{i}.png", i, ("disc", "square")[i % 2]) for i in range(ROWS)
    ]
    draw_image(BROKEN).save(folder / "broken.jpg")
    whole = (folder / "broken.jpg").read_bytes()
    (folder / "broken.jpg").write_bytes(whole[: 4 * len(whole) // 5])  # its header is intact
    paths[BROKEN], paths[MISSING] = str(folder / "broken.jpg"), None
    return pl.DataFrame({"photo": paths}), np.arange(ROWS) % 2


Rows = tuple[pl.DataFrame, Array]


def fit_network(
    options: dict[str, Any], rows: Rows
) -> tuple[EncoderSet, FittedModel, pl.DataFrame, TrainingJob]:
    """Train a network for two epochs on images with the given options."""
    return fit_column(Column("photo", "image", options), *rows)


def assert_restored_and_exported(options: dict[str, Any], rows: Rows, folder: Path) -> FittedModel:
    """Restored and exported models give the same outputs, for single rows and batches.

    The folder of the pretrained network is not read again.
    """
    encoders, model, values, job = fit_network(options, rows)
    expected = model.outputs(encode(encoders, values))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fieldcraft.kinds.image.pretrained.find_backbone_folder", fail_if_called)
        patch.setattr("fieldcraft.kinds.image.encode.find_bundle", fail_if_called)
        patch.setattr("fieldcraft.kinds.image.encode.load_image_encoder", fail_if_called)
        patch.setattr("fieldcraft.kinds.image.net.load_image_backbone", fail_if_called)
        restored_encoders, restored = save_and_restore(encoders, model, job, folder)
        encoded = encode(restored_encoders, values)
    assert encode(encoders, values).matrix().names == encoded.matrix().names
    np.testing.assert_array_equal(encode(encoders, values).matrix().values, encoded.matrix().values)
    np.testing.assert_allclose(restored.outputs(encoded), expected, atol=1e-6)
    data = restored.to_onnx()
    np.testing.assert_allclose(run_onnx(data, encoded), expected, atol=1e-5)
    for row in (0, BROKEN, MISSING):
        alone = run_onnx(data, encode(restored_encoders, values[row : row + 1]))
        np.testing.assert_allclose(alone[0], expected[row], atol=1e-5)
    return model


def fail_if_called(*args: Any) -> Any:
    """Fail, because a restored model must not call this."""
    raise AssertionError(f"a restored model looked for {args}")


@pytest.mark.parametrize("name", ["cnn", "resnet18", "vit"])
def test_a_network_trained_from_scratch(name: str, rows: Rows, tmp_path: Path) -> None:
    assert_restored_and_exported({"encoder": name, "image_size": 16}, rows, tmp_path)


def test_images_are_in_channels_last_format(rows: Rows) -> None:
    encoders = EncoderSet(Schema((Column("photo", "image", {"image_size": 16}),)))
    tensors = fit_and_encode(encoders, rows[0], rows[1][:, None]).tensors()
    net: Any = encoders.build_nets()["image"]
    seen: list[bool] = []
    net.body.register_forward_pre_hook(
        lambda _, given: seen.append(given[0].is_contiguous(memory_format=torch.channels_last))
    )
    given = {name: torch.as_tensor(array) for name, array in tensors.items()}
    turn = MixupPlan(torch.ones(ROWS), torch.arange(ROWS))
    for train in (True, False):
        net.train(train)(given)
    net.train().forward_mixed(given, turn)
    assert len(seen) >= 3
    assert all(seen)


@pytest.mark.parametrize("cut", [False, True])
def test_images_are_mixed_before_the_network(cut: bool, rows: Rows) -> None:
    """A fraction of one leaves a row unchanged; a fraction of zero replaces it by its partner."""
    encoders = EncoderSet(Schema((Column("photo", "image", {"image_size": 16}),)))
    tensors = fit_and_encode(encoders, rows[0], rows[1][:, None]).tensors()
    net: Any = encoders.build_nets()["image"]
    net.apply_augmentation = lambda x: x
    given = {name: torch.as_tensor(array) for name, array in tensors.items()}
    turn = torch.arange(ROWS).roll(1)
    plain = net.train()(given)
    for share, expected in ((torch.ones(ROWS), plain), (torch.zeros(ROWS), plain[turn])):
        result = net.forward_mixed(given, MixupPlan(share, turn, cut))
        torch.testing.assert_close(result, expected, atol=1e-4, rtol=1e-4)
    half = net.forward_mixed(given, MixupPlan(torch.full((ROWS,), 0.5), turn, cut))
    assert not torch.allclose(half, (plain + plain[turn]) / 2, atol=1e-2)


@pytest.mark.parametrize(
    ("name", "tune"),
    [("dinov2", False), ("resnet", True), ("vit", True), ("convnext", "lora")],
)
def test_a_pretrained_network(name: str, tune: Any, tiny: Path, rows: Rows, tmp_path: Path) -> None:
    assert_restored_and_exported({"encoder": str(tiny / name), "finetune": tune}, rows, tmp_path)
    assert [path.suffix for path in (tmp_path / "shared").iterdir()] == [".onnx"]


@pytest.mark.parametrize("name", ["resnet", "vit"])
def test_embeddings_do_not_depend_on_other_rows(name: str, tiny: Path, rows: Rows) -> None:
    pretrained = load_image_encoder(str(tiny / name))
    addresses = rows[0]["photo"].to_list()
    together = pretrained.embed(addresses)
    alone = np.vstack([pretrained.embed([address]) for address in addresses[:9]])
    np.testing.assert_array_equal(together[:9], alone)
    assert np.flatnonzero(np.isnan(together).any(axis=1)).tolist() == [BROKEN, MISSING]
    from fieldcraft.kinds.image.decode import decode_image

    pixels = decode_image(Path(addresses[0]).read_bytes(), 32) / 255
    photo = (pixels - pretrained.preprocessor.mean) / pretrained.preprocessor.std
    with torch.no_grad():
        body = load_image_backbone(tiny / name)
        result = body(torch.as_tensor(photo).float().permute(2, 0, 1)[None])[0].numpy()
    np.testing.assert_allclose(together[0], result, atol=1e-5)


def test_missing_images_are_zero_for_networks_and_nan_for_trees(tiny: Path, rows: Rows) -> None:
    encoders = EncoderSet(Schema((Column("photo", "image", {"encoder": str(tiny / "dinov2")}),)))
    encoded = fit_and_encode(encoders, encoders.schema.apply(rows[0]), np.zeros((ROWS, 1)))
    matrix, tensors = encoded.matrix(), encoded.tensors()["image"]
    assert not tensors[[BROKEN, MISSING]].any()
    assert np.isnan(matrix.values[MISSING]).all()
    assert np.isfinite(np.delete(matrix.values, MISSING, axis=0)).all()
    assert tensors.shape == (ROWS, 16)
    assert tensors.std() == pytest.approx(1, abs=0.1)
    assert matrix.names[-1] == "photo (vector 16)"


def test_learning_rates_decrease_towards_the_input(tiny: Path, rows: Rows) -> None:
    encoders = EncoderSet(
        Schema((Column("photo", "image", {"encoder": str(tiny / "vit"), "finetune": True}),))
    )
    fit_and_encode(encoders, encoders.schema.apply(rows[0]), np.zeros((ROWS, 1)))
    net = encoders.build_nets()["image"]
    rates = {name: getattr(p, "lr_scale", 1.0) for name, p in net.named_parameters()}
    embedding = next(rate for name, rate in rates.items() if "cls_token" in name)
    first, second = (
        next(rate for name, rate in rates.items() if f"layers.{i}." in name) for i in (0, 1)
    )
    assert embedding < first < second < 1
    assert next(rate for name, rate in rates.items() if "layernorm.weight" in name) == second


def test_batch_norm_statistics_are_frozen_in_finetuning(tiny: Path, rows: Rows) -> None:
    _, model, _, _ = fit_network({"encoder": str(tiny / "resnet"), "finetune": True}, rows)
    before = load_image_backbone(tiny / "resnet").state_dict()
    after = {k.partition("nets.image.body.")[2]: v for k, v in model.state().arrays.items()}
    for name, tensor in before.items():
        same = np.array_equal(after[name], tensor.numpy())
        assert same == ("running" in name or "tracked" in name), name


def test_lora_requires_linear_layers(tiny: Path, rows: Rows) -> None:
    with pytest.raises(DataError, match="hint: ") as error:
        fit_network({"encoder": str(tiny / "resnet"), "finetune": "lora"}, rows)
    assert "finetune to true" in error.value.hint


def test_missing_weights_are_an_error(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny / "vit", tmp_path / "vit")
    config = (tmp_path / "vit" / "config.json").read_text("utf-8")
    more = config.replace('"num_hidden_layers": 2', '"num_hidden_layers": 3')
    (tmp_path / "vit" / "config.json").write_text(more, "utf-8")
    with pytest.raises(DataError, match="weights are not in its files"):
        load_image_encoder(str(tmp_path / "vit"))


def test_unsupported_image_sizes_are_an_error(tiny: Path) -> None:
    with pytest.raises(DataError, match="with photos of 48 pixels"):
        load_image_encoder(str(tiny / "vit"), 48)


def test_unknown_network_names_are_an_error() -> None:
    with pytest.raises(DataError, match="did you mean 'resnet18'"):
        load_image_encoder("resnet8")
