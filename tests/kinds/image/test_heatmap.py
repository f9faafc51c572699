"""Heatmap colors treat positive and negative weights alike."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from fieldcraft.kinds.image.heatmap import (
    MAX_CHROMA,
    MAX_SIDE_PIXELS,
    oklab_to_srgb,
    render_heatmap,
)


def test_colors_differ_in_hue_and_not_in_lightness() -> None:
    """Opposite weights have the same lightness, so that neither looks larger."""
    light = np.full(3, 0.6)
    pair = oklab_to_srgb(light, np.zeros(3), MAX_CHROMA * np.array([-0.6, 0.0, 0.6]))
    luminance = pair @ (0.2126, 0.7152, 0.0722)
    assert np.ptp(luminance) < 12
    np.testing.assert_array_equal(pair[1], pair[1][0])


@pytest.mark.parametrize("size", [(1, 1), (20, 900), (300, 200)])
def test_a_heatmap_has_the_aspect_ratio_of_the_image(size: tuple[int, int]) -> None:
    drawn = render_heatmap(Image.new("RGB", size, (90, 90, 90)), np.eye(8))
    image = Image.open(io.BytesIO(base64.b64decode(drawn.partition(",")[2])))
    assert max(image.size) == MAX_SIDE_PIXELS
    assert image.width / image.height == pytest.approx(size[0] / size[1], rel=0.15)


def test_a_larger_weight_has_a_stronger_color() -> None:
    pixels = oklab_to_srgb(np.full(5, 0.6), np.zeros(5), np.linspace(0, MAX_CHROMA, 5)).astype(int)
    assert (np.diff(pixels[:, 0] - pixels[:, 2]) > 0).all()
