"""Single predictions are explained by the members that had not seen the row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.contracts import Array, Json
from fieldcraft.core import catalogue
from fieldcraft.develop.candidate import fold_calibration, load_candidate
from fieldcraft.develop.importance import Model
from fieldcraft.develop.reasons import reasons, usual, with_cells
from fieldcraft.develop.rows import Development, load_development
from fieldcraft.develop.write import Part, members_of
from fieldcraft.project.folder import Folder
from fieldcraft.stages import _flow
from tests.conftest import change, mixed_table, start


class Asks:
    """A kind that can say what a model makes of three values."""

    used = True

    def explain(self, value: Any, said: Any) -> Json:
        scores: Array = said([value, 10.0, 70.0])
        return {"spans": [["x", 1.0]], "most": 1.0, "scores": scores.tolist()}


@pytest.fixture
def asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue.load("kinds", "number"), "explain", Asks().explain, raising=False)


def models(rows: Development, place: Path) -> list[Model]:
    table = pl.read_parquet(place / "predictions.parquet")
    members = members_of(Part(place), rows)
    return [
        Model([[(member, 1.0)]], fold_calibration(table, rows, number))
        for number, member in enumerate(members)
    ]


def explained(project: Folder, learner: str, count: int = 6) -> tuple[Development, list[Json], Any]:
    folders = _flow.latest(project).folders
    rows = load_development(folders["split"], project.settings())
    place = folders["baseline"] / learner
    judge = np.concatenate([fold.judge for fold in rows.folds])
    chosen = judge[:: len(judge) // count].tolist()
    found = reasons(models(rows, place), rows, chosen, lambda text, share: None)
    return rows, found, (load_candidate(place, rows), judge)


@pytest.mark.usefixtures("asks")
def test_the_score_is_what_the_judged_member_said(finished_once: Path) -> None:
    rows, found, (candidate, judge) = explained(Folder(finished_once / "project"), "linear")
    decided = rows.task.decide(candidate.said, rows.about)["prediction"].to_list()
    for item in found:
        at = int(np.flatnonzero(judge == item["position"])[0])
        assert item["of"] == decided[at]
        assert item["score"] == pytest.approx(candidate.said.outputs[at].max(), abs=1e-6)
        scores = item["columns"]["age"]["scores"]
        assert scores[0] == pytest.approx(item["score"], abs=1e-6)
        assert (scores[2] > scores[1]) == (item["of"] == "yes")  # age speaks for yes
        assert list(item["columns"]) == ["age"]


def test_kinds_that_explain_nothing_are_left_out(finished_once: Path) -> None:
    _, found, _ = explained(Folder(finished_once / "project"), "linear", 2)
    assert all(item["columns"] == {} for item in found)


@pytest.mark.usefixtures("asks")
def test_of_an_amount_the_value_is_explained_in_its_unit(blended_once: Path) -> None:
    rows, found, _ = explained(Folder(blended_once / "project"), "linear", 2)
    assert found[0]["of"] is None
    assert found[0]["unit"] == pytest.approx(1.35 * rows.y.std(), rel=0.3)
    assert found[0]["columns"]["floor"]["scores"][0] == pytest.approx(found[0]["score"])


@pytest.mark.usefixtures("asks")
def test_of_labels_the_one_that_is_furthest_from_the_truth_is_explained(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    table = mixed_table(160).with_columns(
        old=pl.col("age").fill_null(0) + draw.normal(0, 9, 160) > 45,
        rome=(pl.col("city") == "Rome") ^ pl.Series(draw.random(160) < 0.3),
    )
    table.drop("bought", "same", "key").write_csv(tmp_path / "t.csv")
    project = start(tmp_path / "p", tmp_path / "t.csv", ("old", "rome"))
    change(project, {"model": {"learner": "linear"}})
    _flow.run_project(project, _flow.Unwatched(), until="baseline")
    folders = _flow.latest(project).folders
    rows = load_development(folders["split"], project.settings())
    chosen = [int(rows.folds[0].judge[0])]
    place = folders["baseline"] / "constant"
    (item,) = reasons(models(rows, place), rows, chosen, lambda text, share: None)
    truth = dict(zip(rows.about["labels"], rows.y[chosen[0]], strict=True))
    assert abs(truth[item["of"]] - item["score"]) > 0.3


def test_no_single_value_blows_up_the_unit() -> None:
    assert usual(np.array([1.0, 2.0, 3.0, 4.0, 1e9])) == 2.0
    assert usual(np.array([0.0] * 9 + [3.0])) == pytest.approx(0.9)
    assert usual(np.ones(3)) == 1.0


def test_cells_take_the_place_of_one_column_only() -> None:
    row = pl.DataFrame({"a": [1.5], "b": ["x"]})

    def cells(name: str, values: Sequence[Any]) -> list[Any]:
        return with_cells(row, name, values).rows()

    assert cells("b", ["y", None]) == [(1.5, "y"), (1.5, None)]
    assert cells("a", [2.5]) == [(2.5, "x")]
