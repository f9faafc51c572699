"""Some training rows are shown as training changes them, whatever the kind of their column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.contracts import Tensors
from fieldcraft.core import catalogue
from fieldcraft.develop.augmented import CUT, MOST_SIGNS, ROWS, augmented, complete, sheet
from fieldcraft.develop.rows import load_development
from fieldcraft.develop.write import Part, members_of
from fieldcraft.project.folder import Folder
from fieldcraft.stages import _flow


def drawn_and_told(network: Any, rows: Tensors) -> Sequence[Sequence[str]]:
    """Of the first column of numbers each row with a number of chance behind it."""
    import torch

    found = rows["number"][:, 0].tolist()
    return [[f"{value:.3f} {float(torch.rand(())):.6f}" for value in found]]


@pytest.fixture
def changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers are changed by training."""
    monkeypatch.setattr(
        catalogue.load("kinds", "number"), "augmented", drawn_and_told, raising=False
    )


def shown(project: Folder, name: str, seed: int = 0) -> Any:
    folders = _flow.latest(project).folders
    rows = load_development(folders["split"], project.settings())
    step = "train" if name == "network" else "baseline"
    return augmented(members_of(Part(folders[step] / name), rows)[0], rows, seed)


def test_each_row_has_four_forms_of_its_own(finished: Folder, changes: None) -> None:
    (found,) = shown(finished, "network")
    assert (found["column"], found["pictures"], len(found["rows"])) == ("age", False, ROWS)
    every: list[str] = []
    for row in found["rows"]:
        numbers, chances = zip(*(form.split() for form in row["forms"]), strict=True)
        assert len(set(numbers)) == 1  # of the row itself
        every += chances
    assert len(set(every)) == 4 * ROWS
    assert shown(finished, "network") == [found]
    assert shown(finished, "network", 1) != [found]


def test_only_networks_and_only_changes_are_shown(finished: Folder) -> None:
    assert shown(finished, "network") == []
    assert shown(finished, "linear") == []


def test_training_rows_without_gaps_are_taken_far_from_each_other() -> None:
    values = pl.DataFrame({"a": [None if i % 2 else i for i in range(40)], "b": range(40)})
    found = complete(values, np.arange(4, 40))
    assert (found % 2 == 0).all()
    assert (found[0], found[-1], len(found)) == (4, 38, ROWS)
    assert complete(values, np.array([3, 5])).tolist() == [3, 5]


def test_long_texts_are_cut_and_cells_that_are_not_there_left_out() -> None:
    kind: Any = SimpleNamespace(picture=lambda value: None)
    values = pl.Series("words", ["many " * 100, None])
    found = sheet(kind, values, ["few", "none", "x" * 999, "none"])
    (row,) = found["rows"]
    assert row["forms"] == ["few", "x" * MOST_SIGNS + CUT]
    assert row["original"].endswith("many" + CUT)
    assert sheet(kind, values, [])["rows"] == []


def test_a_photo_that_cannot_be_drawn_is_left_out(tmp_path: Path) -> None:
    kind: Any = SimpleNamespace(picture=lambda value: f"data:{value}" if value == "a" else None)
    forms = ["data:" + "x" * 999] * 4
    found = sheet(kind, pl.Series("photo", ["a", "b"]), forms)
    assert found["pictures"]
    assert found["rows"] == [{"original": "data:a", "forms": forms[:2]}]
