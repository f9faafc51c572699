"""A bundle predicts from raw rows, whatever their form, without PyTorch."""

from __future__ import annotations

import os
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import pytest

from fieldcraft.bundle.archive import pack
from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.core.errors import BundleError, DataError
from fieldcraft.project.folder import Folder
from fieldcraft.stages.predict import Request, predict
from tests.bare import bare_environment
from tests.bundle.edit import rewrite
from tests.conftest import mixed_table


@pytest.fixture(scope="module")
def loaded(packed_once: Path) -> Bundle:
    return load_bundle(packed_once)


@pytest.fixture
def rows() -> pl.DataFrame:
    return mixed_table(40, seed=5).drop("bought", "key", "same")


def test_predictions_are_a_label_and_probabilities_that_add_to_one(
    loaded: Bundle, rows: pl.DataFrame
) -> None:
    found = loaded.predict(rows)
    assert found.columns == [
        "prediction", "probability_no", "probability_yes", "prediction_set",
    ]  # fmt: skip
    assert found.height == rows.height
    total = found["probability_no"] + found["probability_yes"]
    assert np.allclose(total, 1)
    likelier = np.where(found["probability_yes"] > 0.5, "yes", "no")
    assert found["prediction"].to_list() == likelier.tolist()


def test_the_model_has_learned_something(loaded: Bundle) -> None:
    fresh = mixed_table(400, seed=77)
    right = loaded.predict(fresh)["prediction"] == fresh["bought"]
    assert right.mean() > 0.7  # type: ignore[operator]


def test_one_row_gets_what_it_gets_among_others_and_order_is_kept(
    loaded: Bundle, rows: pl.DataFrame
) -> None:
    together = loaded.outputs(rows)
    alone = np.concatenate([loaded.outputs(rows[i]) for i in range(rows.height)])
    np.testing.assert_allclose(alone, together, atol=1e-6)
    np.testing.assert_allclose(loaded.outputs(rows.reverse()), together[::-1], atol=1e-6)


def test_text_typed_and_pandas_rows_give_the_same(loaded: Bundle, rows: pl.DataFrame) -> None:
    text = rows.with_columns(pl.all().cast(pl.String))
    typed = rows.with_columns(pl.col("seen").str.to_date(), pl.col("member") == "yes")
    expected = loaded.predict(rows)
    for other in (text, typed, rows.to_pandas()):
        assert loaded.predict(other).equals(expected)


def test_further_columns_do_not_matter(loaded: Bundle, rows: pl.DataFrame) -> None:
    more = rows.with_columns(mood=pl.lit("good")).select("mood", *reversed(rows.columns))
    assert loaded.predict(more).equals(loaded.predict(rows))


def test_a_missing_column_is_named_with_a_near_one(loaded: Bundle, rows: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="'city': did you mean 'citty'"):
        loaded.predict(rows.rename({"city": "citty"}))


def test_no_rows_give_an_empty_table_of_the_same_form(loaded: Bundle, rows: pl.DataFrame) -> None:
    assert loaded.predict(rows.head(0)).schema == loaded.predict(rows).schema


def test_what_was_never_seen_is_served(loaded: Bundle, rows: pl.DataFrame) -> None:
    odd = rows.with_columns(
        city=pl.lit("Atlantis"), age=pl.lit("1e300"), seen=pl.lit("soon"), member=pl.lit(None)
    )
    assert np.isfinite(loaded.outputs(odd)).all()


def test_it_predicts_in_an_environment_without_torch(
    project: Folder, bundle: Path, tmp_path: Path, rows: pl.DataFrame
) -> None:
    python = bare_environment(tmp_path / "venv")
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
    "a pickle": lambda whole: pickle.dumps(Trap()),
    "a list": lambda whole: b"[]",
    "another object": lambda whole: b'{"schema": {"columns": 3}, "encoders": {"number": []}}',
}


class Trap:
    """Ends the tests if it is ever unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (66,)


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", ["encoders.json", "encoders.safetensors", "model.onnx"])
def test_a_damaged_file_with_a_matching_manifest_is_refused(
    bundle: Path, name: str, how: str
) -> None:
    path = bundle / "members" / "linear-0" / name
    path.write_bytes(DAMAGE[how](path.read_bytes()))
    rewrite(bundle)
    with pytest.raises(BundleError, match=r"cannot be run|cannot be loaded"):
        load_bundle(bundle)


def test_members_that_do_not_fit_the_task_are_refused(bundle: Path) -> None:
    rewrite(bundle, task="multilabel")
    with pytest.raises(BundleError, match="cannot be run"):
        load_bundle(bundle)
    rewrite(bundle, task="binary", members=[])
    with pytest.raises(BundleError, match="cannot be run"):
        load_bundle(bundle)


def test_a_joined_table_that_is_none_is_refused(bundle: Path) -> None:
    (bundle / "tables").mkdir()
    (bundle / "tables" / "0.parquet").write_bytes(b"PAR1" + bytes(40) + b"PAR1")
    rewrite(bundle, tables=[{"file": "tables/0.parquet", "on": ["city"]}])
    with pytest.raises(BundleError, match="cannot be run"):
        load_bundle(bundle)


def test_a_model_cannot_take_other_files_for_its_weights(bundle: Path) -> None:
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
    rewrite(bundle)
    with pytest.raises(BundleError, match=r"model\.onnx cannot be loaded"):
        load_bundle(bundle)


def test_an_archive_predicts_what_its_folder_predicts(
    bundle: Path, tmp_path: Path, rows: pl.DataFrame
) -> None:
    pack(bundle, tmp_path / "bundle.zip")
    expected = load_bundle(bundle).predict(rows)
    assert load_bundle(str(tmp_path / "bundle.zip")).predict(rows).equals(expected)
    rows.write_csv(tmp_path / "rows.csv")
    out = tmp_path / "out.parquet"
    predict(Request(tmp_path / "bundle.zip", str(tmp_path / "rows.csv"), out))
    assert pl.read_parquet(out).equals(expected)
