"""A table of three kinds of columns: offers with a text, a photo and a price, sold or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from fieldcraft.project.folder import ProjectFolder
from tests.conftest import create_project, set_settings
from tests.images import save_image
from tests.kinds.text.sentences import make_texts

HOSTILE_TEXT = (
    'The lamp <script>alert(1)</script> shone & "broke" as it\'s <b>bold</b> \u202eback\u202c.'
)


def make_offers_table(folder: Path, rows: int = 240, seed: int = 0) -> pl.DataFrame:
    """Offers of which words (shone, broke) and how bright the photo is tell, and the price does
    not; some texts and photos are missing, broken, long or hostile.
    """
    draw = np.random.default_rng(seed)
    texts: list[str | None] = list(make_texts(rows, 3, seed))
    square = draw.random(rows) < 0.5
    photos: list[str | None] = [
        save_image(folder / f"{i}.png", i, "square" if square[i] else "disc") for i in range(rows)
    ]
    for path in np.array(photos)[square]:
        Image.open(path).point(lambda value: 120 + value // 2).save(path)
    score = [
        text.count("shone") - text.count("broke") + 1.6 * flag - 0.8 + draw.normal(0, 0.3)
        for text, flag in zip(make_texts(rows, 3, seed), square, strict=True)
    ]
    for i in range(0, rows, 12):
        texts[i] = (HOSTILE_TEXT, None, str(texts[i]) * 300)[i // 12 % 3]
        photos[i + 1] = None
    for i in range(6, rows, 40):
        path = Path(str(photos[i]))
        path.write_bytes(path.read_bytes()[:300])
    return pl.DataFrame(
        {
            "words": texts,
            "photo": photos,
            "price": draw.normal(50, 9, rows).round(2),
            "sold": np.where(np.array(score) > 0.1, "yes", "no"),
        },
        schema_overrides={"words": pl.String, "photo": pl.String},
    )


def create_offers_project(folder: Path, learner: str = "linear") -> ProjectFolder:
    """A project on offers, not run yet."""
    make_offers_table(folder / "photos").write_csv(folder / "offers.csv")
    project = create_project(folder / "p", folder / "offers.csv", "sold", edits=())
    settings = {
        "model": {"learner": learner},
        "data.columns.words": {"kind": "text"},
        "data.columns.photo": {"kind": "image", "image_size": 32},
    }
    return set_settings(project, settings)
