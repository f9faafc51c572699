"""A bundle predicts from raw rows, whatever their form, without PyTorch."""

from __future__ import annotations

import os
import subprocess
import venv
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fieldcraft
from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.core.errors import DataError
from fieldcraft.project.folder import Folder
from tests.conftest import mixed_table


@pytest.fixture(scope="module")
def bundle(finished_once: Path) -> Bundle:
    return load_bundle(finished_once / "project" / "bundle")


@pytest.fixture
def rows() -> pl.DataFrame:
    return mixed_table(40, seed=5).drop("bought", "key", "same")


def test_predictions_are_a_label_and_probabilities_that_add_to_one(
    bundle: Bundle, rows: pl.DataFrame
) -> None:
    found = bundle.predict(rows)
    assert found.columns == ["prediction", "probability_no", "probability_yes"]
    assert found.height == rows.height
    total = found["probability_no"] + found["probability_yes"]
    assert np.allclose(total, 1)
    likelier = np.where(found["probability_yes"] > 0.5, "yes", "no")
    assert found["prediction"].to_list() == likelier.tolist()


def test_the_model_has_learned_something(bundle: Bundle) -> None:
    fresh = mixed_table(400, seed=77)
    right = bundle.predict(fresh)["prediction"] == fresh["bought"]
    assert right.mean() > 0.7  # type: ignore[operator]


def test_one_row_gets_what_it_gets_among_others_and_order_is_kept(
    bundle: Bundle, rows: pl.DataFrame
) -> None:
    together = bundle.outputs(rows)
    alone = np.concatenate([bundle.outputs(rows[i]) for i in range(rows.height)])
    np.testing.assert_allclose(alone, together, atol=1e-6)
    np.testing.assert_allclose(bundle.outputs(rows.reverse()), together[::-1], atol=1e-6)


def test_text_typed_and_pandas_rows_give_the_same(bundle: Bundle, rows: pl.DataFrame) -> None:
    text = rows.with_columns(pl.all().cast(pl.String))
    typed = rows.with_columns(pl.col("seen").str.to_date(), pl.col("member") == "yes")
    expected = bundle.predict(rows)
    for other in (text, typed, rows.to_pandas()):
        assert bundle.predict(other).equals(expected)


def test_further_columns_do_not_matter(bundle: Bundle, rows: pl.DataFrame) -> None:
    more = rows.with_columns(mood=pl.lit("good")).select("mood", *reversed(rows.columns))
    assert bundle.predict(more).equals(bundle.predict(rows))


def test_a_missing_column_is_named_with_a_near_one(bundle: Bundle, rows: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="'city': did you mean 'citty'"):
        bundle.predict(rows.rename({"city": "citty"}))


def test_no_rows_give_an_empty_table_of_the_same_form(bundle: Bundle, rows: pl.DataFrame) -> None:
    assert bundle.predict(rows.head(0)).schema == bundle.predict(rows).schema


def test_what_was_never_seen_is_served(bundle: Bundle, rows: pl.DataFrame) -> None:
    odd = rows.with_columns(
        city=pl.lit("Atlantis"), age=pl.lit("1e300"), seen=pl.lit("soon"), member=pl.lit(None)
    )
    assert np.isfinite(bundle.outputs(odd)).all()


def core_packages() -> set[str]:
    """Everything that `pip install fieldcraft` brings, without its extras."""
    waiting, found = ["fieldcraft"], set[str]()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in found:
            found.add(name)
            needed = [Requirement(line) for line in distribution(name).requires or []]
            waiting += [r.name for r in needed if not r.marker or r.marker.evaluate({"extra": ""})]
    return found


def without_torch(folder: Path) -> Path:
    """A virtual environment that holds the core dependencies and nothing else."""
    venv.create(folder, symlinks=True, with_pip=False)
    site = next(folder.glob("lib/python*/site-packages"))
    for name in core_packages() - {"fieldcraft"}:
        found = distribution(name)
        for top in {Path(str(file)).parts[0] for file in found.files or []} - {"..", "__pycache__"}:
            link = site / top
            if not link.exists():
                link.symlink_to(Path(str(found.locate_file(top))))
    (site / "fieldcraft.pth").write_text(str(Path(fieldcraft.__file__).parents[1]))
    return folder / "bin" / "python"


def test_it_predicts_in_an_environment_without_torch(
    finished: Folder, tmp_path: Path, rows: pl.DataFrame
) -> None:
    python = without_torch(tmp_path / "venv")
    rows.write_csv(tmp_path / "rows.csv")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    absent = subprocess.run(
        [python, "-c", "import importlib.util as u; print(u.find_spec('torch'))"],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert absent.stdout.strip() == "None"
    out = tmp_path / "out.parquet"
    done = subprocess.run(
        [python, "-m", "fieldcraft", "predict", finished.bundle, tmp_path / "rows.csv", "-o", out],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = load_bundle(finished.bundle).predict(rows)
    assert pl.read_parquet(out).equals(expected)
    train = subprocess.run(
        [python, "-m", "fieldcraft", "run", "--dir", finished.root],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert train.returncode == 2
    assert 'pip install "fieldcraft[train]"' in " ".join(train.stderr.split())
