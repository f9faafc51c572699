"""A project of images: audit, split, training, packaging and prediction."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

import fieldcraft as fc
from fieldcraft.project import project_file
from fieldcraft.stages.init import InitRequest, init
from fieldcraft.stages.predict import PredictRequest, predict
from tests.images import save_image

PHOTOS_PER_CLASS = 40


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished project of discs and squares with some copies and a broken image."""
    root = tmp_path_factory.mktemp("shapes")
    for number in range(2 * PHOTOS_PER_CLASS):
        shape = ("disc", "square")[number % 2]
        part = "validation" if number % 10 > 6 else "train"
        save_image(root / "photos" / part / shape / f"{number}.png", number, shape)
    train = root / "photos" / "train"
    for number in (3, 5):
        shutil.copy(train / f"square/{number}.png", train / f"square/copy{number}.png")
    (train / "disc" / "broken.jpg").write_bytes(b"\xff\xd8\xff not a photo")
    init(InitRequest(root / "p", str(root / "photos"), ("label",)))
    text = (root / "p" / project_file.PROJECT_FILE_NAME).read_text("utf-8")
    text = text.replace("learner: network", "learner: network\n  epochs: 2")
    (root / "p" / project_file.PROJECT_FILE_NAME).write_text(text, "utf-8")
    fc.Project(root / "p").run(fix=True)
    return root


def test_init_reads_the_folder_structure(project: Path) -> None:
    text = (project / "p" / project_file.PROJECT_FILE_NAME).read_text("utf-8")
    assert "image: {kind: image}" in text
    assert "split_column: split" in text


def test_copies_of_an_image_are_in_the_same_part(project: Path) -> None:
    (split,) = (project / "p" / "runs" / "split").iterdir()
    parts = pl.read_parquet(split / "split.parquet")
    cells = pl.concat([pl.read_parquet(path) for path in split.rglob("*.parquet")
                       if path.name in ("development.parquet", "test.parquet")])  # fmt: skip
    assert cells.height == 2 * PHOTOS_PER_CLASS + 3
    twins = parts.group_by("feature_digest").agg(
        pl.col("part").n_unique(), pl.col("fold").n_unique(), pl.len()
    )
    assert sorted(twins["len"].to_list())[-2:] == [2, 2]
    assert twins["part"].max() == twins["fold"].max() == 1


def test_the_report_shows_augmented_images(project: Path) -> None:
    (place,) = (project / "p" / "runs" / "train").glob("*/augmentation_examples.json")
    (sheet,) = json.loads(place.read_text("utf-8"))
    assert (sheet["column"], sheet["are_images"], len(sheet["rows"])) == ("image", True, 6)
    shown = (project / "p" / "report.html").read_text("utf-8")
    for row in sheet["rows"]:
        assert len({row["original"], *row["variants"]}) == 5
        assert all(f'src="{address}"' in shown for address in [row["original"], *row["variants"]])


def test_the_bundle_predicts_images_by_path(project: Path) -> None:
    bundle = fc.load_bundle(project / "p" / "bundle")
    new = [save_image(project / "new" / f"{i}.png", 900 + i) for i in range(3)]
    together = bundle.predict(pl.DataFrame({"image": new}))
    alone = pl.concat([bundle.predict(pl.DataFrame({"image": [path]})) for path in new])
    assert together["prediction"].to_list() == alone["prediction"].to_list()
    assert set(together["prediction"]) <= {"disc", "square"}


def test_a_folder_of_images_is_predicted(project: Path, tmp_path: Path) -> None:
    for number in range(4):
        save_image(tmp_path / "new" / f"{number}.png", 700 + number)
    (tmp_path / "new" / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    request = PredictRequest(project / "p" / "bundle", str(tmp_path / "new"), tmp_path / "out.csv")
    summary = predict(request)
    assert summary["rows"] == 5
    assert summary["unparseable_cells"] == 1


def test_the_network_is_compared_with_the_baselines(project: Path) -> None:
    (evaluated,) = (project / "p" / "runs" / "evaluate").iterdir()
    result = json.loads((evaluated / "evaluation.json").read_text("utf-8"))
    assert {"constant", "linear", "lightgbm", "network"} <= {m["name"] for m in result["models"]}


def test_the_report_shows_images_with_the_largest_errors(project: Path) -> None:
    page = (project / "p" / "report.html").read_text("utf-8")
    assert '<img class="photo" src="data:image/jpeg;base64,' in page
    assert str(project / "photos") not in page.split("Largest errors")[1].split("</section>")[0]


def test_the_audit_reports_broken_and_duplicate_images(project: Path) -> None:
    result = {finding.code: finding for finding in fc.Project(project / "p").findings()}
    assert "broken.jpg" in result["unreadable_images"].title
    assert result["near_duplicate_images"].evidence["images"] == 4
