"""Photos must be worth their trouble: models do without them too, alone or in a blend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import fieldcraft as fc
from fieldcraft.core import files
from fieldcraft.develop.rows import load_development, only, plain
from fieldcraft.develop.write import TOLERANCE, Part, check_parity, used_by, write_bundle
from fieldcraft.project import file
from fieldcraft.project.folder import Folder
from fieldcraft.stages import _flow
from fieldcraft.stages.init import Request, init
from tests.drawing import draw_photo

ROWS = 60


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A project that has run, whose target hangs on two numbers and not on the photo."""
    root, draw = tmp_path_factory.mktemp("sheds"), np.random.default_rng(0)
    photos = [draw_photo(root / "photos" / f"{number}.png", number) for number in range(ROWS)]
    wide, deep = draw.uniform(2, 9, ROWS).round(2), draw.uniform(2, 9, ROWS).round(2)
    price = (900 * wide + 700 * deep + draw.normal(0, 200, ROWS)).round()
    table = pl.DataFrame({"photo": photos, "wide": wide, "deep": deep, "price": price})
    table.write_csv(root / "sheds.csv")
    init(Request(root / "p", str(root / "sheds.csv"), ("price",)))
    text = (root / "p" / file.NAME).read_text("utf-8").replace("learner: network", "learner: rule")
    (root / "p" / file.NAME).write_text(text, "utf-8")
    fc.Project(root / "p").run(fix=True)
    return Folder(root / "p")


def test_models_without_photos_are_baselines_and_win_where_photos_say_nothing(
    project: Folder,
) -> None:
    folders = _flow.latest(project).folders
    found = files.read_json(folders["evaluate"] / "evaluation.json")
    assert {"linear", "linear-plain", "lightgbm", "lightgbm-plain"} <= {
        learner["name"] for learner in found["learners"]
    }
    assert found["champion"] == "linear-plain"
    assert found["without_files"]["left_out"] == ["photo"]
    assert found["without_files"]["verdict"] != "better"
    page = (project.root / "report.html").read_text("utf-8")
    assert "The best model that reads photo is the" in page
    assert "linear model without images" in page


def test_their_bundle_asks_for_no_photos(project: Folder) -> None:
    bundle = fc.load_bundle(project.bundle)
    assert bundle.columns == ["wide", "deep"]
    told = bundle.predict(pl.DataFrame({"wide": ["3", "8"], "deep": ["3", "8"]}))["prediction"]
    assert told[1] - told[0] == pytest.approx(5 * 1600, rel=0.1)
    assert {item["column"] for item in bundle.manifest["importance"]} == {"wide", "deep"}


def test_a_bundle_holds_models_with_and_without_photos(project: Folder, tmp_path: Path) -> None:
    folders = _flow.latest(project).folders
    rows = load_development(folders["split"], project.settings())
    parts = [Part(folders["baseline"] / name, 0.5) for name in ("linear-plain", "linear")]
    assert used_by(parts, rows) is rows
    assert used_by(parts[:1], rows).values.columns == ["wide", "deep"]
    about = {"targets": ["price"], "names": [], "tables": [], "calibration": {}, "lineage": {}}
    about["calibration"] = files.read_json(folders["evaluate"] / "evaluation.json")["calibration"]
    decided = pl.read_parquet(folders["evaluate"] / "judge.parquet")
    write_bundle(tmp_path, parts, rows, decided, None, about, lambda text, share: None)
    assert check_parity(tmp_path, parts, rows) <= TOLERANCE
    bundle = fc.load_bundle(tmp_path)
    assert len(bundle.members) == 10
    assert set(bundle.encoders.encoders) == {"image", "number"}
    assert bundle.predict(rows.frame).height == len(rows.y)


def test_rows_are_plain_only_where_some_columns_are_files_and_others_are_not(
    project: Folder, finished: Folder
) -> None:
    rows = load_development(_flow.latest(project).folders["split"], project.settings())
    less = plain(rows)
    assert less is not None
    assert less.values.columns == ["wide", "deep"]
    assert plain(less) is None
    assert plain(only(rows, ["photo"])) is None
    other = load_development(_flow.latest(finished).folders["split"], finished.settings())
    assert plain(other) is None
