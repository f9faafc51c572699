"""Models are also fitted without file columns, alone or in an ensemble."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import fieldcraft as fc
from fieldcraft.core import files
from fieldcraft.modeling.dataset import drop_file_columns, load_dataset, select_columns
from fieldcraft.modeling.packaging import (
    MAX_OUTPUT_DIFFERENCE,
    EnsemblePart,
    check_parity,
    restrict_columns,
    write_bundle,
)
from fieldcraft.project import project_file
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _workflows
from fieldcraft.stages.init import InitRequest, init
from tests.images import save_image

ROWS = 60


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> ProjectFolder:
    """A finished project whose target depends on two numbers and not on the photo."""
    root, draw = tmp_path_factory.mktemp("sheds"), np.random.default_rng(0)
    photos = [save_image(root / "photos" / f"{number}.png", number) for number in range(ROWS)]
    wide, deep = draw.uniform(2, 9, ROWS).round(2), draw.uniform(2, 9, ROWS).round(2)
    price = (900 * wide + 700 * deep + draw.normal(0, 200, ROWS)).round()
    table = pl.DataFrame({"photo": photos, "wide": wide, "deep": deep, "price": price})
    table.write_csv(root / "sheds.csv")
    init(InitRequest(root / "p", str(root / "sheds.csv"), ("price",)))
    text = (
        (root / "p" / project_file.PROJECT_FILE_NAME)
        .read_text("utf-8")
        .replace("learner: network", "learner: rule")
    )
    (root / "p" / project_file.PROJECT_FILE_NAME).write_text(text, "utf-8")
    fc.Project(root / "p").run(fix=True)
    return ProjectFolder(root / "p")


def test_models_without_files_are_baselines_and_win_if_images_are_noise(
    project: ProjectFolder,
) -> None:
    folders = _workflows.load_latest_report_data(project).folders
    evaluation = files.read_json(folders["evaluate"] / "evaluation.json")
    assert {"linear", "linear-without-files", "lightgbm", "lightgbm-without-files"} <= {
        learner["name"] for learner in evaluation["models"]
    }
    assert evaluation["champion"] == "linear-without-files"
    assert evaluation["files_comparison"]["excluded_columns"] == ["photo"]
    assert evaluation["files_comparison"]["verdict"] != "better"
    page = (project.root / "report.html").read_text("utf-8")
    assert "The best model with photo is the" in page
    assert "linear model without images" in page


def test_the_bundle_of_a_model_without_files_requires_none(project: ProjectFolder) -> None:
    bundle = fc.load_bundle(project.bundle_path)
    assert bundle.required_columns == ["wide", "deep"]
    predicted = bundle.predict(pl.DataFrame({"wide": ["3", "8"], "deep": ["3", "8"]}))["prediction"]
    assert predicted[1] - predicted[0] == pytest.approx(5 * 1600, rel=0.1)
    assert {item["column"] for item in bundle.manifest["feature_importance"]} == {"wide", "deep"}


def test_a_bundle_can_have_models_with_and_without_files(
    project: ProjectFolder, tmp_path: Path
) -> None:
    folders = _workflows.load_latest_report_data(project).folders
    rows = load_dataset(folders["split"], project.load_settings())
    parts = [
        EnsemblePart(folders["baseline"] / name, 0.5) for name in ("linear-without-files", "linear")
    ]
    assert restrict_columns(parts, rows) is rows
    assert restrict_columns(parts[:1], rows).features.columns == ["wide", "deep"]
    manifest_body = {
        "targets": ["price"],
        "column_names": [],
        "tables": [],
        "calibration": {},
        "lineage": {},
    }
    manifest_body["calibration"] = files.read_json(folders["evaluate"] / "evaluation.json")[
        "calibration"
    ]
    predictions = pl.read_parquet(folders["evaluate"] / "evaluation_predictions.parquet")
    write_bundle(tmp_path, parts, rows, predictions, None, manifest_body, lambda text, share: None)
    assert check_parity(tmp_path, parts, rows) <= MAX_OUTPUT_DIFFERENCE
    bundle = fc.load_bundle(tmp_path)
    assert len(bundle.models) == 10
    assert set(bundle.largest_encoder_set.by_kind) == {"image", "number"}
    assert bundle.predict(rows.frame).height == len(rows.y)


def test_file_columns_are_dropped_only_if_other_columns_remain(
    project: ProjectFolder, finished_project: ProjectFolder
) -> None:
    rows = load_dataset(
        _workflows.load_latest_report_data(project).folders["split"], project.load_settings()
    )
    without_files = drop_file_columns(rows)
    assert without_files is not None
    assert without_files.features.columns == ["wide", "deep"]
    assert drop_file_columns(without_files) is None
    assert drop_file_columns(select_columns(rows, ["photo"])) is None
    dataset_without_photos = load_dataset(
        _workflows.load_latest_report_data(finished_project).folders["split"],
        finished_project.load_settings(),
    )
    assert drop_file_columns(dataset_without_photos) is None
