"""A bundle predicts from raw rows of any type, without PyTorch."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest

import fieldcraft
from fieldcraft.bundle.archive import pack_bundle
from fieldcraft.bundle.encoder_set import EncoderSet
from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.bundle.runtime import Bundle, LookupTable, PackagedModel, load_bundle
from fieldcraft.core import catalog
from fieldcraft.core.errors import BundleError, DataError
from fieldcraft.core.types import Array
from fieldcraft.data.schema import Column, Schema
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages.predict import PredictRequest, predict
from tests.bundle.manifests import rewrite_manifest
from tests.conftest import mixed_table
from tests.encoding import fit_and_encode
from tests.environments import create_environment


@pytest.fixture(scope="module")
def loaded(linear_bundle: Path) -> Bundle:
    return load_bundle(linear_bundle)


@pytest.fixture
def rows() -> pl.DataFrame:
    return mixed_table(40, seed=5).drop("bought", "key", "same")


def test_predictions_are_a_label_and_probabilities_that_sum_to_one(
    loaded: Bundle, rows: pl.DataFrame
) -> None:
    predictions = loaded.predict(rows)
    assert predictions.columns == [
        "prediction", "probability_no", "probability_yes", "prediction_set",
    ]  # fmt: skip
    assert predictions.height == rows.height
    total = predictions["probability_no"] + predictions["probability_yes"]
    assert np.allclose(total, 1)
    likelier = np.where(predictions["probability_yes"] > 0.5, "yes", "no")
    assert predictions["prediction"].to_list() == likelier.tolist()


def test_the_model_has_learned_something(loaded: Bundle) -> None:
    fresh = mixed_table(400, seed=77)
    right = loaded.predict(fresh)["prediction"] == fresh["bought"]
    assert right.mean() > 0.7  # type: ignore[operator]


def test_a_single_row_has_the_outputs_it_has_in_a_batch(loaded: Bundle, rows: pl.DataFrame) -> None:
    together = loaded.outputs(rows)
    alone = np.concatenate([loaded.outputs(rows[i]) for i in range(rows.height)])
    np.testing.assert_allclose(alone, together, atol=1e-6)
    np.testing.assert_allclose(loaded.outputs(rows.reverse()), together[::-1], atol=1e-6)


def test_string_typed_and_pandas_rows_give_the_same_predictions(
    loaded: Bundle, rows: pl.DataFrame
) -> None:
    text = rows.with_columns(pl.all().cast(pl.String))
    typed = rows.with_columns(pl.col("seen").str.to_date(), pl.col("member") == "yes")
    expected = loaded.predict(rows)
    for same_rows in (text, typed, rows.to_pandas()):
        assert loaded.predict(same_rows).equals(expected)


def test_extra_columns_do_not_matter(loaded: Bundle, rows: pl.DataFrame) -> None:
    more = rows.with_columns(mood=pl.lit("good")).select("mood", *reversed(rows.columns))
    assert loaded.predict(more).equals(loaded.predict(rows))


def test_a_missing_column_is_named_with_a_similar_one(loaded: Bundle, rows: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="'city': did you mean 'citty'"):
        loaded.predict(rows.rename({"city": "citty"}))


def test_no_rows_give_an_empty_table_with_the_same_schema(
    loaded: Bundle, rows: pl.DataFrame
) -> None:
    assert loaded.predict(rows.head(0)).schema == loaded.predict(rows).schema


def test_unseen_values_are_predicted(loaded: Bundle, rows: pl.DataFrame) -> None:
    odd = rows.with_columns(
        city=pl.lit("Atlantis"), age=pl.lit("1e300"), seen=pl.lit("soon"), member=pl.lit(None)
    )
    assert np.isfinite(loaded.outputs(odd)).all()


def test_it_predicts_in_an_environment_without_torch(
    project: ProjectFolder, bundle: Path, tmp_path: Path, rows: pl.DataFrame
) -> None:
    python = create_environment(tmp_path / "venv")
    rows.write_csv(tmp_path / "rows.csv")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    absent = subprocess.run(
        [python, "-c", "import importlib.util as u; print(u.find_spec('torch'))"],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert absent.stdout.strip() == "None"
    out = tmp_path / "out.parquet"
    done = subprocess.run(
        [python, "-m", "fieldcraft", "predict", bundle, tmp_path / "rows.csv", "-o", out],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = load_bundle(bundle).predict(rows)
    assert pl.read_parquet(out).equals(expected)
    for line in (["-m", "fieldcraft", "run", "--dir", str(project.root)],
                 ["-c", "import fieldcraft as fc; fc.Classifier"]):  # fmt: skip
        train = subprocess.run(
            [python, *line], capture_output=True, text=True, check=False, env=environment
        )
        assert train.returncode
        assert 'pip install "fieldcraft[train]"' in " ".join(train.stderr.split())


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda whole: whole[: len(whole) // 2],
    "empty": lambda whole: b"",
    "zeros": lambda whole: bytes(len(whole)),
    "a pickle": lambda whole: pickle.dumps(UnpickleTrap()),
    "a list": lambda whole: b"[]",
    "another object": lambda whole: b'{"schema": {"columns": 3}, "encoders": {"number": []}}',
}


class UnpickleTrap:
    """Exits the process if it is ever unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (66,)


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", ["encoders.json", "encoders.safetensors", "model.onnx"])
def test_a_damaged_file_with_a_matching_manifest_is_refused(
    bundle: Path, name: str, how: str
) -> None:
    path = bundle / "members" / "linear-0" / name
    path.write_bytes(DAMAGE[how](path.read_bytes()))
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"cannot be run|cannot be loaded"):
        load_bundle(bundle)


def test_members_that_do_not_fit_the_task_are_refused(bundle: Path) -> None:
    rewrite_manifest(bundle, task="multilabel")
    with pytest.raises(BundleError, match="cannot be run"):
        load_bundle(bundle)
    rewrite_manifest(bundle, task="binary", members=[])
    with pytest.raises(BundleError, match="cannot be run"):
        load_bundle(bundle)


def test_an_invalid_lookup_table_is_refused(bundle: Path) -> None:
    (bundle / "tables").mkdir()
    (bundle / "tables" / "0.parquet").write_bytes(b"PAR1" + bytes(40) + b"PAR1")
    rewrite_manifest(bundle, tables=[{"file": "tables/0.parquet", "keys": ["city"]}])
    with pytest.raises(BundleError, match="cannot be run"):
        load_bundle(bundle)


def test_a_model_cannot_load_external_files_as_weights(bundle: Path) -> None:
    path = bundle / "members" / "linear-0" / "model.onnx"
    model = onnx.load(path)
    for weights in model.graph.initializer:
        if weights.name == "weights":
            size = len(weights.raw_data)
            weights.ClearField("raw_data")
            weights.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", "encoders.safetensors"), ("length", str(size))):
                entry = weights.external_data.add()
                entry.key, entry.value = key, value
    path.write_bytes(model.SerializeToString())
    rewrite_manifest(bundle)
    with pytest.raises(BundleError, match=r"model\.onnx cannot be loaded"):
        load_bundle(bundle)


def test_an_archive_predicts_what_its_folder_predicts(
    bundle: Path, tmp_path: Path, rows: pl.DataFrame
) -> None:
    pack_bundle(bundle, tmp_path / "bundle.zip")
    expected = load_bundle(bundle).predict(rows)
    assert load_bundle(str(tmp_path / "bundle.zip")).predict(rows).equals(expected)
    rows.write_csv(tmp_path / "rows.csv")
    out = tmp_path / "out.parquet"
    predict(PredictRequest(tmp_path / "bundle.zip", str(tmp_path / "rows.csv"), out))
    assert pl.read_parquet(out).equals(expected)


SOURCE_FOLDER = Path(fieldcraft.__file__).parent
SCHEMA = Schema((Column("chance", "number"),))


@pytest.fixture(scope="module")
def encoders() -> EncoderSet:
    """Encoders of one column of numbers, whose matrix is the numbers themselves."""
    encoder_set = EncoderSet(SCHEMA)
    fit_and_encode(encoder_set, pl.DataFrame({"chance": [0.0, 0.5, 1.0]}), np.zeros((3, 0)))
    return encoder_set


def make_model(encoders: EncoderSet, factor: float, weight: float, fold: int = 0) -> PackagedModel:
    """A member whose probability of the second class is a factor times the row's number."""

    def run(inputs: Mapping[str, Array]) -> Array:
        chance = factor * inputs["matrix"][:, 0].astype(np.float64)
        return np.stack([1 - chance, chance], axis=1)

    return PackagedModel(encoders, run, "matrix", {}, weight, fold)


def make_bundle(members: Sequence[PackagedModel], **manifest: Any) -> Bundle:
    """A bundle for two classes over one column of numbers."""
    plain = {"temperature": 1.0, "threshold": None, "set_threshold": 0.0}
    return Bundle(
        {
            "schema": SCHEMA.as_json(), "task": "binary", "target_spec": {"classes": ["no", "yes"]},
            "calibration": plain, "fold_calibrations": [plain, plain], **manifest,
        },
        members,
    )  # fmt: skip


def apply_temperature(chance: Array, temperature: float) -> Array:
    """A probability whose log odds are divided by a temperature."""
    odds = (chance / (1 - chance)) ** (1 / temperature)
    return np.asarray(odds / (1 + odds))


CHANCES = np.array([0.25, 0.5, 0.75, 0.875, 0.125])


def test_outputs_are_averaged_by_weight_and_then_calibrated(
    encoders: EncoderSet,
) -> None:
    members = [make_model(encoders, 1.0, 3.0), make_model(encoders, 0.5, 1.0, 1)]
    calibration = {"temperature": 0.5, "threshold": 0.2, "set_threshold": 0.0}
    bundle = make_bundle(members, calibration=calibration)
    predictions = bundle.predict(pl.DataFrame({"chance": CHANCES}))
    expected = apply_temperature((3 * CHANCES + 0.5 * CHANCES) / 4, 0.5)
    np.testing.assert_allclose(predictions["probability_yes"], expected, atol=1e-7)
    decided = np.where(expected >= 0.2, "yes", "no")
    assert predictions["prediction"].to_list() == decided.tolist()
    assert set(decided) == {"yes", "no"}


def test_out_of_fold_predictions_use_the_members_and_calibration_of_each_fold(
    encoders: EncoderSet,
) -> None:
    members = [
        make_model(encoders, 1.0, 0.5, 0),
        make_model(encoders, 0.5, 0.5, 1),
        make_model(encoders, 0.25, 1.5, 1),
    ]
    calibrations = [
        {"temperature": 2.0, "threshold": 0.9, "set_threshold": 0.0},
        {"temperature": 0.5, "threshold": 0.01, "set_threshold": 0.0},
    ]
    folds = np.array([1, 0, 1, 0, 0])
    bundle = make_bundle(members, fold_calibrations=calibrations)
    predictions = bundle.out_of_fold_predictions(pl.DataFrame({"chance": CHANCES}), folds)
    second = apply_temperature((0.5 * 0.5 * CHANCES + 1.5 * 0.25 * CHANCES) / 2, 0.5)
    expected = np.where(folds == 1, second, apply_temperature(CHANCES, 2.0))
    np.testing.assert_allclose(predictions.outputs[:, 1], expected, atol=1e-7)
    decided = np.where(folds == 1, expected >= 0.01, expected >= 0.9)
    assert predictions.decisions.tolist() == decided.astype(int).tolist()


def test_many_rows_are_predicted_in_batches_in_their_order(
    encoders: EncoderSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldcraft.bundle.encoder_set.MAX_BATCH_BYTES", 1)
    chances, folds = np.linspace(0, 0.99, 200), np.arange(200) % 2
    rows = pl.DataFrame({"chance": chances})
    members = [make_model(encoders, 1.0, 1.0, 0), make_model(encoders, 0.5, 1.0, 1)]
    bundle = make_bundle(members)
    np.testing.assert_allclose(bundle.outputs(rows)[:, 1], 0.75 * chances, atol=1e-7)
    probability = bundle.out_of_fold_predictions(rows, folds).outputs[:, 1]
    np.testing.assert_allclose(probability, np.where(folds, 0.5, 1.0) * chances, atol=1e-7)


def test_rows_are_precomputed_by_the_largest_encoder_set(encoders: EncoderSet) -> None:
    empty = EncoderSet(Schema(()))
    half = PackagedModel(empty, lambda inputs: np.full((2, 2), 0.5), "tensors", {}, 1.0)
    bundle = make_bundle([half, make_model(encoders, 1.0, 1.0), half])
    assert bundle.largest_encoder_set is encoders
    outputs = bundle.outputs(pl.DataFrame({"chance": [0.2, 0.8]}))
    np.testing.assert_allclose(outputs[:, 1], [0.4, 0.6], atol=1e-7)


def test_predict_reaches_the_members_in_three_frames(encoders: EncoderSet) -> None:
    own_frames: list[str] = []

    def run(inputs: Mapping[str, Array]) -> Array:
        # Called by `outputs` of the member, the innermost of these frames.
        paths = [(frame.name, Path(frame.filename)) for frame in traceback.extract_stack()]
        own_frames.extend(name for name, path in paths if path.is_relative_to(SOURCE_FOLDER))
        return np.full((2, 2), 0.5)

    bundle = make_bundle([PackagedModel(encoders, run, "matrix", {})])
    bundle.predict(pl.DataFrame({"chance": [0.2, 0.8]}))
    assert own_frames == ["predict", "outputs_from_values", "outputs"]


def test_outputs_of_a_regression_member_are_unscaled_and_clipped(
    encoders: EncoderSet,
) -> None:
    scale = {"mean": 10.0, "std": 2.0, "min": 9.0, "max": 12.5}
    amounts = PackagedModel(encoders, lambda inputs: inputs["matrix"], "matrix", scale)
    read = encoders.precompute(pl.DataFrame({"chance": [-1.0, 0.0, 1.0, 2.0]}))
    outputs = amounts.outputs(read, catalog.load_plugin("tasks", "regression"))
    np.testing.assert_allclose(outputs[:, 0], [9.0, 10.0, 12.0, 12.5])


def test_weight_and_fold_of_a_member_come_from_the_manifest(bundle: Path) -> None:
    folder = {"folder": "members/linear-0", "format": "onnx", "input_format": "matrix"}
    rewrite_manifest(
        bundle, members=[{**folder, "weight": 0.25, "fold": 3}, {**folder, "weight": 0.75}]
    )
    members = load_bundle(bundle).models
    assert [(m.weight, m.fold, m.input_format) for m in members] == [
        (0.25, 3, "matrix"), (0.75, 0, "matrix"),
    ]  # fmt: skip


def test_lookup_tables_are_joined_unless_rows_have_their_columns() -> None:
    columns = (Column("age", "number"), Column("trees", "number"), Column("photo", "image"))
    schema = Schema((*columns, Column("snow", "number")))
    places = pl.DataFrame({"city": ["Bern", "Oslo"], "trees": [5, 9], "snow": [60, 90]})
    bundle = Bundle(
        {"schema": schema.as_json(), "task": "binary", "target_spec": {}},
        [],
        [LookupTable(places, ("city",))],
    )
    assert bundle.required_columns == ["age", "photo", "city"]
    assert bundle.file_columns == ["photo"]
    rows = pl.DataFrame({"age": [1, 2, 3], "city": ["Oslo", "Bern", "Rome"]})
    joined = bundle.join_tables(rows)
    assert joined["trees"].to_list() == [9, 5, None]
    assert joined["snow"].to_list() == [90, 60, None]
    own = rows.with_columns(trees=pl.lit(1), snow=pl.lit(2))
    assert bundle.join_tables(own).equals(own)
    partial = bundle.join_tables(
        rows.with_columns(trees=pl.lit(1))
    )  # not all: the table goes first
    assert partial["trees"].to_list() == [9, 5, None]


def test_a_loaded_bundle_has_its_reference_profile(linear_bundle: Path, loaded: Bundle) -> None:
    stored = json.loads((linear_bundle / "profile.json").read_text(encoding="utf-8"))
    assert loaded.profile == stored
    assert loaded.model_id == read_manifest(linear_bundle)["model_id"]
