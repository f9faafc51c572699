"""Photos for tests, drawn: a bright disc or square at a place of chance on a noisy ground."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def draw_image(seed: int = 0, shape: str = "disc", size: tuple[int, int] = (40, 32)) -> Image.Image:
    """A photo of a shape."""
    chance = np.random.default_rng(seed)
    ground = chance.integers(0, 90, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(ground)
    side = min(size) // 2
    left, top = chance.integers(0, size[0] - side), chance.integers(0, size[1] - side)
    box = (int(left), int(top), int(left) + side, int(top) + side)
    color = tuple(int(c) for c in chance.integers(150, 256, 3))
    drawing = ImageDraw.Draw(image)
    (drawing.ellipse if shape == "disc" else drawing.rectangle)(box, fill=color)
    return image


def save_image(path: Path, seed: int = 0, shape: str = "disc") -> str:
    """Draw a photo into a file; its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_image(seed, shape).save(path)
    return str(path)
