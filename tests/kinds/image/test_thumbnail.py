from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from fieldcraft.core import catalog
from tests.images import draw_image, save_image

KIND = catalog.load_plugin("kinds", "image")


def test_thumbnails_keep_the_aspect_ratio(tmp_path: Path) -> None:
    draw_image(1, size=(800, 400)).save(tmp_path / "1.png")
    drawn = KIND.thumbnail(str(tmp_path / "1.png"))
    head, _, body = drawn.partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(body))).size == (128, 64)


def test_unreadable_images_have_no_thumbnail(tmp_path: Path) -> None:
    path = save_image(tmp_path / "1.png")
    Path(path).write_bytes(Path(path).read_bytes()[:300])
    assert KIND.thumbnail(path) is None
    assert KIND.thumbnail(None) is None
    assert KIND.thumbnail("nowhere.jpg") is None
