"""The image region that a prediction depends on is found and drawn."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fieldcraft.core import catalog
from fieldcraft.core.types import Array
from fieldcraft.data import file_cells
from fieldcraft.kinds.image.decode import decode_image
from fieldcraft.kinds.image.explain import GRID_CELLS
from fieldcraft.kinds.image.heatmap import MAX_SIDE_PIXELS
from tests.images import draw_image, save_image

KIND = catalog.load_plugin("kinds", "image")


def build_score_function(score: Callable[[Array], float]) -> Callable[[Sequence[Any]], Array]:
    """Return a model of the decoded image, of shape (64, 64, 3) and values from 0 to 1."""
    return lambda cells: np.array(
        [score(decode_image(file_cells.read_content(c), 64) / 255) for c in cells]
    )


def decode_heatmap(explanation: dict[str, Any]) -> Array:
    head, _, body = explanation["heatmap"].partition(",")
    assert head == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))), dtype=float)


@pytest.fixture
def photo(tmp_path: Path) -> str:
    """A dark image with a bright spot in the upper left."""
    pixels = np.full((96, 128, 3), 40, dtype=np.uint8)
    pixels[12:36, 16:48] = 250
    Image.fromarray(pixels).save(tmp_path / "spot.png")
    return str(tmp_path / "spot.png")


@pytest.mark.parametrize("sign", [1, -1])
def test_the_relevant_region_is_found(photo: str, sign: int) -> None:
    result = KIND.explain(photo, build_score_function(lambda p: sign * p[8:24, 8:24].mean()))
    weights = np.array(result["weights"])
    assert weights.shape == (GRID_CELLS, GRID_CELLS)
    assert np.abs(weights).max() == pytest.approx(1)
    assert sign * weights[1:3, 1:3].mean() > 0.5
    assert np.abs(weights[4:, 4:]).max() < 0.05
    assert result["max_effect"] > 0.1


def test_positive_regions_are_blue_and_negative_ones_orange(photo: str) -> None:
    def warm(result: dict[str, Any]) -> float:
        spot = decode_heatmap(result)[15:45, 20:60]
        return float(spot[..., 0].mean() - spot[..., 2].mean())

    against = KIND.explain(photo, build_score_function(lambda p: -p[8:24, 8:24].mean()))
    in_favor = KIND.explain(photo, build_score_function(lambda p: p[8:24, 8:24].mean()))
    assert warm(in_favor) < -40
    assert warm(against) > 40


def test_a_constant_model_gives_a_gray_heatmap(photo: str) -> None:
    result = KIND.explain(photo, build_score_function(lambda p: 0.7))
    assert result["max_effect"] == 0
    pixels = decode_heatmap(result)
    assert np.abs(pixels[..., 0] - pixels[..., 2]).max() < 8


def test_broken_and_missing_images_have_no_explanation(tmp_path: Path) -> None:
    torn = Path(save_image(tmp_path / "torn.png"))
    torn.write_bytes(torn.read_bytes()[:300])
    (tmp_path / "no.jpg").write_bytes(b"zero")
    for value in (None, str(torn), str(tmp_path / "no.jpg"), "nowhere.jpg", "data:image/png,%00"):
        assert KIND.explain(value, build_score_function(lambda p: 1.0)) is None


@pytest.mark.parametrize(("mode", "size"), [("L", (40, 30)), ("RGBA", (900, 20)), ("P", (3, 2)),
                                            ("I;16", (30, 30)), ("RGB", (1, 1))])  # fmt: skip
def test_images_of_any_mode_and_size_are_explained(
    tmp_path: Path, mode: str, size: tuple[int, int]
) -> None:
    path = tmp_path / "photo.png"
    if mode == "I;16":
        Image.fromarray(np.arange(900, dtype=np.uint16).reshape(30, 30)).save(path)
    else:
        draw_image(size=(max(size[0], 8), max(size[1], 8))).resize(size).convert(mode).save(path)
    result = KIND.explain(str(path), build_score_function(lambda p: p.mean()))
    assert max(decode_heatmap(result).shape[:2]) <= MAX_SIDE_PIXELS


def test_temporary_files_are_removed(photo: str) -> None:
    seen: list[str] = []

    def predict(cells: Sequence[Any]) -> Array:
        seen.extend(cells)
        assert all(Path(cell).exists() for cell in cells)
        return np.zeros(len(cells))

    KIND.explain(photo, predict)
    assert len(seen) == 50
    assert not any(Path(cell).exists() for cell in seen)
