"""A bundle predicts what the trained model predicts, or it is not made."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.core import files
from fieldcraft.core.errors import BundleError
from fieldcraft.develop.rows import Development, load_development
from fieldcraft.develop.write import TOLERANCE, Part, check_parity, write_bundle
from fieldcraft.project.folder import Folder
from fieldcraft.stages import _flow

ABOUT = {
    "targets": ["bought"],
    "names": [],
    "tables": [],
    "calibration": {"temperature": 1.0, "threshold": None, "limit": 0.9},
    "lineage": {},
}


def developed(project: Folder) -> tuple[Development, dict[str, Path]]:
    folders = _flow.latest(project).folders
    rows = load_development(folders["split"], project.settings())
    models = {p.name: p for step in ("baseline", "train") for p in folders[step].iterdir()}
    return rows, {name: path for name, path in models.items() if path.is_dir()}


@pytest.mark.parametrize("learner", ["constant", "linear", "lightgbm", "network"])
def test_every_learner_packages_with_parity(finished: Folder, tmp_path: Path, learner: str) -> None:
    rows, models = developed(finished)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    decided = pl.read_parquet(_flow.latest(finished).folders["evaluate"] / "judge.parquet")
    manifest = write_bundle(
        bundle, [Part(models[learner])], rows, decided, None, ABOUT, lambda text, share: None
    )
    assert check_parity(bundle, [Part(models[learner])], rows) <= TOLERANCE
    assert len(manifest["members"]) == len(rows.folds) == 5
    assert len(list(bundle.rglob("*.onnx"))) == 5
    assert load_bundle(bundle).predict(rows.frame).height == len(rows.y)


def test_a_bundle_that_predicts_otherwise_is_refused(finished: Folder) -> None:
    rows, models = developed(finished)
    champion = files.read_json(finished.bundle / "manifest.json")["learner"]
    table = models[champion] / "predictions.parquet"
    pl.read_parquet(table).with_columns(pl.col("out_1") + 1e-4).write_parquet(table)
    with pytest.raises(BundleError, match="does not predict what the trained model predicts"):
        check_parity(finished.bundle, [Part(models[champion])], rows)


def test_the_reference_profile_counts_rows_that_were_not_trained_on(finished: Folder) -> None:
    profile = files.read_json(finished.bundle / "profile.json")
    assert set(profile["columns"]) == {"age", "city", "member", "seen"}
    city, age = (profile["columns"][name]["value"] for name in ("city", "age"))
    assert set(city["levels"]) == set(city["seen"]) == {"Bern", "Oslo", "Rome"}
    assert age["low"] < age["edges"][0] < age["edges"][-1] < age["high"]
    assert sum(age["counts"]) == sum(city["counts"]) == profile["rows"]
    predicted = profile["predictions"]
    assert sum(predicted["prediction"]["counts"]) == profile["predicted"] > 0
    assert {"probability_no", "probability_yes"} <= set(predicted)
