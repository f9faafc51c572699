"""Images in the cells of a Parquet file: inferred, trained on, and predicted by the bundle."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import fieldcraft as fc
from fieldcraft.core import files
from fieldcraft.stages.predict import PredictRequest, predict
from tests.conftest import create_project, set_settings
from tests.images import draw_image

ROWS = 60


def write_table(first: int, rows: int) -> pl.DataFrame:
    """Return images as Hugging Face stores them, with their classes."""
    shapes = [("disc", "square")[i % 2] for i in range(rows)]
    cells: list[Any] = []
    for i, shape in enumerate(shapes):
        stream = io.BytesIO()
        draw_image(first + i, shape).save(stream, "PNG")
        cells.append({"bytes": stream.getvalue(), "path": f"{i}.png"})
    kind = pl.Struct({"bytes": pl.Binary, "path": pl.String})
    return pl.DataFrame({"image": pl.Series(cells, dtype=kind), "shape": shapes})


def test_a_project_of_embedded_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIELDCRAFT_CACHE", str(tmp_path / "cache"))
    write_table(0, ROWS).write_parquet(tmp_path / "shapes.parquet")
    project = create_project(tmp_path / "p", tmp_path / "shapes.parquet", "shape", edits=())
    assert project.load_settings().data.columns["image"].kind == "image"
    set_settings(project, {"model": {"learner": "linear"}, "data.columns.image.image_size": 32})
    report = fc.Project(project.root).run(fix=True)
    assert report.evaluation["models"]
    assert any(row["thumbnails"] for row in report.evaluation["largest_errors"])
    new = write_table(1_000, 12)
    bundle = fc.load_bundle(project.bundle_path)
    predictions = bundle.predict(new.drop("shape"))
    new.write_parquet(tmp_path / "new.parquet")
    monkeypatch.setenv("FIELDCRAFT_CACHE", str(tmp_path / "another"))  # another machine
    predict(
        PredictRequest(project.bundle_path, str(tmp_path / "new.parquet"), tmp_path / "out.parquet")
    )
    assert pl.read_parquet(tmp_path / "out.parquet")["prediction"].equals(predictions["prediction"])
    assert list(files.cache_folder().rglob("*.png"))
