"""Augmentation examples show training rows as training changes them, for columns of any kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.contracts import Tensors
from fieldcraft.core import catalog
from fieldcraft.modeling.augmentation_examples import (
    ELLIPSIS,
    MAX_TEXT_CHARACTERS,
    N_EXAMPLE_ROWS,
    column_examples,
    make_augmentation_examples,
    most_complete_rows,
)
from fieldcraft.modeling.dataset import load_dataset
from fieldcraft.modeling.packaging import EnsemblePart, load_fold_models
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _workflows


def random_variants(network: Any, rows: Tensors) -> Sequence[Sequence[str]]:
    """Return each value of the first numeric column, followed by a random number."""
    import torch

    first_column = rows["number"][:, 0].tolist()
    return [[f"{value:.3f} {float(torch.rand(())):.6f}" for value in first_column]]


@pytest.fixture
def numbers_are_augmented(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the kind of numbers an augmentation."""
    monkeypatch.setattr(
        catalog.load_plugin("kinds", "number"),
        "augmentation_examples",
        random_variants,
        raising=False,
    )


def examples_of(project: ProjectFolder, name: str, seed: int = 0) -> Any:
    folders = _workflows.load_latest_report_data(project).folders
    rows = load_dataset(folders["split"], project.load_settings())
    step = "train" if name == "network" else "baseline"
    return make_augmentation_examples(
        load_fold_models(EnsemblePart(folders[step] / name), rows)[0], rows, seed
    )


def test_each_row_has_four_distinct_variants(
    finished_project: ProjectFolder, numbers_are_augmented: None
) -> None:
    (examples,) = examples_of(finished_project, "network")
    assert (examples["column"], examples["are_images"], len(examples["rows"])) == (
        "age",
        False,
        N_EXAMPLE_ROWS,
    )
    every: list[str] = []
    for row in examples["rows"]:
        numbers, chances = zip(*(form.split() for form in row["variants"]), strict=True)
        assert len(set(numbers)) == 1  # the value of the row
        every += chances
    assert len(set(every)) == 4 * N_EXAMPLE_ROWS
    assert examples_of(finished_project, "network") == [examples]
    assert examples_of(finished_project, "network", 1) != [examples]


def test_only_networks_with_augmentation_have_examples(finished_project: ProjectFolder) -> None:
    assert examples_of(finished_project, "network") == []
    assert examples_of(finished_project, "linear") == []


def test_complete_rows_are_chosen_evenly_across_the_training_rows() -> None:
    values = pl.DataFrame({"a": [None if i % 2 else i for i in range(40)], "b": range(40)})
    positions = most_complete_rows(values, np.arange(4, 40))
    assert (positions % 2 == 0).all()
    assert (positions[0], positions[-1], len(positions)) == (4, 38, N_EXAMPLE_ROWS)
    assert most_complete_rows(values, np.array([3, 5])).tolist() == [3, 5]


def test_long_texts_are_truncated_and_missing_cells_left_out() -> None:
    kind: Any = SimpleNamespace(thumbnail=lambda value: None)
    values = pl.Series("words", ["many " * 100, None])
    examples = column_examples(kind, values, ["few", "none", "x" * 999, "none"])
    (row,) = examples["rows"]
    assert row["variants"] == ["few", "x" * MAX_TEXT_CHARACTERS + ELLIPSIS]
    assert row["original"].endswith("many" + ELLIPSIS)
    assert column_examples(kind, values, [])["rows"] == []


def test_an_unreadable_image_is_left_out(tmp_path: Path) -> None:
    kind: Any = SimpleNamespace(thumbnail=lambda value: f"data:{value}" if value == "a" else None)
    forms = ["data:" + "x" * 999] * 4
    examples = column_examples(kind, pl.Series("photo", ["a", "b"]), forms)
    assert examples["are_images"]
    assert examples["rows"] == [{"original": "data:a", "variants": forms[:2]}]
