"""The image kind: inference, encoding, training, export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from fieldcraft.core import catalog
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.data.schema import Column
from fieldcraft.fit.network import FusedNetwork
from fieldcraft.fit.onnx_export import export_network
from fieldcraft.kinds.image.encode import ImageEncoder, choose_side
from fieldcraft.kinds.image.handcrafted_features import FEATURE_NAMES, extract_features
from fieldcraft.kinds.image.net import ImageEncoderNet
from tests.encoding import fit_and_encode
from tests.images import draw_image, save_image

KIND = catalog.load_plugin("kinds", "image")


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    return [save_image(tmp_path / f"{i}.png", i, ("disc", "square")[i % 2]) for i in range(12)]


@pytest.mark.parametrize(
    "name", ["a/1.jpg", "b/2.PNG", "http://h/3.webp", "data:image/png;base64,xx"]
)
def test_image_names_are_recognized(name: str) -> None:
    inference = KIND.infer(ColumnProfile(pl.Series("photo", [name] * 30)))
    assert inference is not None
    assert inference.confidence > 0.95


@pytest.mark.parametrize("name", ["a.pdf", "jpg", "see a.jpg for more", "1.5"])
def test_other_texts_are_no_images(name: str) -> None:
    assert KIND.infer(ColumnProfile(pl.Series("photo", [name] * 30))) is None


def test_parsing_keeps_addresses_of_images(paths: list[str], tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"zero")
    cells = pl.Series("photo", [paths[0], None, str(tmp_path / "broken.jpg"), "nowhere.png"])
    assert KIND.parse(cells, {}).to_list() == [paths[0], None, None, None]


def test_the_side_fits_the_median_image(tmp_path: Path) -> None:
    for size, side in ((20, 32), (33, 32), (60, 64), (100, 96), (900, 128)):
        path = tmp_path / f"{size}.png"
        draw_image(size=(size, size)).save(path)
        assert choose_side([str(path)] * 3) == side
    assert choose_side([]) == 32


def test_a_configured_size_is_used(paths: list[str]) -> None:
    encoder = ImageEncoder([Column("p", "image", {"image_size": 48})])
    rows = pl.DataFrame({"p": paths})
    result = fit_and_encode(encoder, rows, np.zeros((12, 1))).tensors()["image"]
    assert result.shape == (12, 1, 48, 48, 3)


def test_images_are_flipped_only_if_every_column_allows_it() -> None:
    columns = [
        Column("p", "image", {"horizontal_flip": True}),
        Column("q", "image", {"horizontal_flip": False}),
    ]
    assert ImageEncoder(columns[:1]).allow_flip
    assert not ImageEncoder(columns).allow_flip


def test_missing_images_are_nan_for_trees(paths: list[str]) -> None:
    encoder = ImageEncoder([Column("p", "image")])
    rows = pl.DataFrame({"p": [*paths, None]})
    encoded = fit_and_encode(encoder, rows, np.zeros((13, 1)))
    values = encoded.matrix().values
    assert np.isnan(values[-1]).all()
    assert np.isfinite(values[:-1]).all()
    assert values.shape[1] == len(FEATURE_NAMES)
    square = encoded.tensors()["image"][-1, 0]
    np.testing.assert_array_equal(square, np.broadcast_to(encoder.fill_color, square.shape))


def test_features_measure_color_and_direction() -> None:
    stripes = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    stripes[0, :, ::4] = 255  # upright edges
    stripes[1, ::4] = 255  # level edges
    upright, level = extract_features(stripes)
    first = FEATURE_NAMES.index("edges 2.2 0°")
    assert upright[first] > 0.9 > 0.1 > level[first]
    assert level[first + 4] > 0.9 > 0.1 > upright[first + 4]
    red = np.zeros((1, 16, 16, 3), dtype=np.uint8)
    red[..., 0] = 255
    assert extract_features(red)[0, :3].tolist() == [1, 0, 0]


@pytest.mark.parametrize("columns", [1, 2])
def test_an_exported_net_gives_the_same_outputs(paths: list[str], columns: int) -> None:
    import onnxruntime

    names = [f"p{i}" for i in range(columns)]
    rows = pl.DataFrame({name: paths[i:] + paths[:i] for i, name in enumerate(names)})
    encoder = ImageEncoder([Column(name, "image") for name in names])
    tensors = fit_and_encode(encoder, rows, np.zeros((12, 1))).tensors()
    torch.manual_seed(0)
    net = ImageEncoderNet(encoder)
    network = FusedNetwork(
        {"image": net}, lambda chunks, width: LinearHead(sum(chunks)), 2, lambda raw: raw
    )
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
    network.eval()
    with torch.no_grad():
        expected = network({"image": torch.as_tensor(tensors["image"])}).numpy()
    session = onnxruntime.InferenceSession(export_network(network, tensors))
    (result,) = session.run(None, {"image": tensors["image"]})
    np.testing.assert_allclose(result, expected, atol=1e-5)
    assert net.feature_widths == (len(expected) and net.feature_widths[0],) * columns


class LinearHead(torch.nn.Module):
    """A linear layer with two outputs."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(width, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(x)
        return result[:, None]


def test_drift_statistics_are_size_format_and_color(paths: list[str]) -> None:
    result = KIND.drift_statistics(pl.Series("p", [*paths, None]))
    assert result["form"].to_list() == ["PNG"] * 12 + [None]
    for name in ("size", "shape", "brightness", "contrast", "color"):
        assert result[name].null_count() == 1
        assert result[name].min() > 0
    assert result["brightness"].max() <= 1
