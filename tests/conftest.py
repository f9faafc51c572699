"""Shared fixtures: small tables, finished projects, and the developers' data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import fieldcraft as fc
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.data.location import resolve_address
from fieldcraft.project import project_file
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _workflows
from fieldcraft.stages.init import InitRequest, init

SHARED_DATA_FOLDER = Path(
    os.environ.get("FIELDCRAFT_DATA", Path(__file__).parents[2] / "shared" / "data")
)
# A network small enough for a test: real training, a second or two.
SMALL_MODEL = (
    ConfigEdit(("model", "trunk"), "mlp"),
    ConfigEdit(("model", "layers"), [16]),
    ConfigEdit(("model", "epochs"), 4),
)


# These take a minute and more: begun last, one of them would run alone at the end.
LONGEST_FILES = {
    "test_readme.py",
    "test_estimator.py",
    "test_add_a_kind.py",
    "test_tokenization.py",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest test files; parallel runs distribute files in this order."""
    items.sort(key=lambda item: item.path.name not in LONGEST_FILES)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The developers' data; tests that need it are skipped where it is missing."""
    if not SHARED_DATA_FOLDER.is_dir():
        pytest.skip(f"needs the developers' data at {SHARED_DATA_FOLDER}")
    return SHARED_DATA_FOLDER


def mixed_table(rows: int = 240, seed: int = 0) -> pl.DataFrame:
    """A table with every kind of column and a binary target that two of them explain."""
    draw = np.random.default_rng(seed)
    age = draw.normal(40, 12, rows).round(1)
    city = draw.choice(["Bern", "Oslo", "Rome"], rows)
    member = draw.choice(["yes", "no"], rows)
    score = (age - 40) / 12 + (city == "Rome") - 0.5 * (member == "yes")
    bought = score + draw.normal(0, 0.5, rows) > 0.2
    seen_day = np.datetime64("2024-01-01") + draw.integers(0, 700, rows)
    return pl.DataFrame(
        {
            "key": [f"k{i:05d}" for i in range(rows)],
            "age": [None if i % 17 == 0 else v for i, v in enumerate(age.tolist())],
            "city": city.tolist(),
            "member": member.tolist(),
            "seen": seen_day.astype("datetime64[D]").astype(str).tolist(),
            "same": ["x"] * rows,
            "bought": np.where(bought, "yes", "no").tolist(),
        }
    )


@pytest.fixture
def table() -> pl.DataFrame:
    """A small table with every kind of column."""
    return mixed_table()


@pytest.fixture
def csv_path(tmp_path: Path, table: pl.DataFrame) -> Path:
    """The small table as a CSV file."""
    path = tmp_path / "table.csv"
    table.write_csv(path)
    return path


def create_project(
    folder: Path,
    source: Path,
    target: str | Sequence[str] = "bought",
    task: str | None = None,
    edits: Sequence[ConfigEdit] = SMALL_MODEL,
) -> ProjectFolder:
    """A project with a small network, or with other edits, that has not been run."""
    targets = (target,) if isinstance(target, str) else tuple(target)
    init(InitRequest(folder, str(source), targets, task=task))
    project = ProjectFolder(folder)
    project_file.apply_edits(project.file_path, edits)
    return project


def set_settings(project: ProjectFolder, values: Mapping[str, Any]) -> ProjectFolder:
    """Set entries of the project file by path, such as ``data.filter``."""
    project_file.apply_edits(
        project.file_path,
        [ConfigEdit(tuple(path.split(".")), value) for path, value in values.items()],
    )
    return project


def source_table_path(project: ProjectFolder) -> Path:
    """The path of the training file of a project."""
    return Path(resolve_address(project.load_settings().data.source_files().train, project.root))


@pytest.fixture
def project(tmp_path: Path, csv_path: Path) -> ProjectFolder:
    """A project of the small table that has not been run."""
    return create_project(tmp_path / "project", csv_path)


@pytest.fixture(scope="session")
def finished_project_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small table and a finished project."""
    folder = tmp_path_factory.mktemp("finished")
    mixed_table().write_csv(folder / "table.csv")
    _workflows.run_project(
        create_project(folder / "project", folder / "table.csv"), _workflows.NullCallbacks()
    )
    return folder


@pytest.fixture
def finished_project(tmp_path: Path, finished_project_folder: Path) -> ProjectFolder:
    """A copy of a finished project that a test may change."""
    shutil.copytree(finished_project_folder, tmp_path / "copy")
    return ProjectFolder(tmp_path / "copy" / "project")


@pytest.fixture(scope="session")
def linear_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a linear model of the small table; tests must not change it."""
    table = mixed_table()
    model = fc.Classifier("linear").fit(table.drop("bought"), table["bought"])
    path = tmp_path_factory.mktemp("packed") / "bundle"
    model.to_bundle(path)
    return path


def rent_table(rows: int = 400, seed: int = 0) -> pl.DataFrame:
    """Flats whose rent is partly linear and partly nonlinear, so that an ensemble is better."""
    draw = np.random.default_rng(seed)
    plain = draw.normal(size=(rows, 8)).round(3)
    floor, district = draw.uniform(-3, 3, rows).round(3), draw.integers(0, 6, rows)
    rent = 1.5 * plain.sum(axis=1) + 3 * np.sin(2 * floor) + 0.5 * district
    return pl.DataFrame(
        {
            "flat": [f"f{seed}-{i}" for i in range(rows)],
            **{f"x{i}": plain[:, i] for i in range(8)},
            "floor": floor,
            "district": [f"d{i}" for i in district],
            "times": draw.integers(1, 4, rows),
            "rent": (rent + draw.normal(0, 0.3, rows)).round(4),
        }
    )


@pytest.fixture(scope="session")
def ensemble_project_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished project of an ensemble with joined, filtered, weighted and derived columns."""
    folder = tmp_path_factory.mktemp("ensembled")
    rent_table().write_csv(folder / "flats.csv")
    districts = pl.DataFrame({"district": [f"d{i}" for i in range(6)], "trees": range(6)})
    districts.write_csv(folder / "districts.csv")
    project = create_project(folder / "project", folder / "flats.csv", "rent", edits=())
    settings = {
        "data.join": [{"source": "../districts.csv", "on": "district"}],
        "data.columns.trees": {"kind": "number"},
        "data.derived_columns": {"green": "trees * 2 + x0"},
        "data.filter": "floor > -2.9",
        "data.sample_weight": "times",
        "data.id_column": "flat",
        "model": {"learner": "linear"},
        "problem.sensitive_features": ["district"],
        "problem.goal": 3.0,
    }
    _workflows.run_project(set_settings(project, settings), _workflows.NullCallbacks())
    return folder


@pytest.fixture
def ensemble_project(tmp_path: Path, ensemble_project_folder: Path) -> ProjectFolder:
    """A copy of the finished project with an ensemble."""
    shutil.copytree(ensemble_project_folder, tmp_path / "ensemble")
    return ProjectFolder(tmp_path / "ensemble" / "project")


@pytest.fixture
def write_file(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file into the test's folder and return its path."""

    def do(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return do
