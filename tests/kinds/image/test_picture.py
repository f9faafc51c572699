from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from fieldcraft.core import catalogue
from tests.drawing import draw_photo, picture

KIND = catalogue.load("kinds", "image")


def test_a_photo_is_drawn_small_in_its_own_proportions(tmp_path: Path) -> None:
    picture(1, size=(800, 400)).save(tmp_path / "1.png")
    drawn = KIND.picture(str(tmp_path / "1.png"))
    head, _, body = drawn.partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(body))).size == (128, 64)


def test_what_cannot_be_drawn_is_left_out(tmp_path: Path) -> None:
    path = draw_photo(tmp_path / "1.png")
    Path(path).write_bytes(Path(path).read_bytes()[:300])
    assert KIND.picture(path) is None
    assert KIND.picture(None) is None
    assert KIND.picture("nowhere.jpg") is None
