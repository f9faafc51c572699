"""Shuffling a column shows how much a model hangs on it: a planted one first, noise not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.contracts import Json
from fieldcraft.data.split import Fold
from fieldcraft.data.table import Schema
from fieldcraft.develop import importance
from fieldcraft.develop.importance import (
    FEWEST_COLUMNS,
    MOST_ROWS,
    Model,
    Trial,
    contributions,
    importances,
    outputs,
    sample,
    settled,
    shuffle,
    weighed,
)
from fieldcraft.develop.rows import Development, load_development
from fieldcraft.develop.write import Part, members_of
from fieldcraft.evidence.metrics import Metric, Said
from fieldcraft.evidence.value_metrics import R2, RMSE
from fieldcraft.project.folder import Folder
from fieldcraft.report.story import Story
from fieldcraft.stages import _flow, _plan
from tests.conftest import change, start


@pytest.fixture(scope="module")
def story(finished_once: Path) -> Story:
    return _flow.latest(Folder(finished_once / "project"))


@pytest.fixture(scope="module")
def rows(story: Story) -> Development:
    return load_development(story.folders["split"], story.settings)


@pytest.fixture(scope="module")
def model(story: Story, rows: Development) -> Model:
    members = members_of(Part(story.folders["baseline"] / "linear"), rows)
    return Model([[(member, 1.0)] for member in members], {"temperature": 1.0, "limit": 0.5,
                                                          "threshold": None})  # fmt: skip


def found_by(model: Model, rows: Development, metric: Metric, seed: int = 0) -> dict[str, Json]:
    found = importances(Trial(model, rows, metric, seed), lambda text, share: None)
    return {item["column"]: item for item in found}


@pytest.mark.parametrize("name", ["roc_auc", "log_loss"])
def test_planted_columns_come_first_and_noise_holds_zero(
    model: Model, rows: Development, name: str
) -> None:
    metric = next(m for m in rows.task.metrics if m.name == name)
    found = found_by(model, rows, metric)
    assert list(found)[:2] == ["age", "city"]
    assert found["age"]["low"] > 0  # whichever way the metric goes, worse is above zero
    assert found["city"]["low"] > 0
    assert found["seen"]["low"] <= 0 <= found["seen"]["high"]
    values = [item["value"] for item in found.values()]
    assert values == sorted(values, reverse=True)


def test_the_same_seed_gives_the_same_and_another_nearly(model: Model, rows: Development) -> None:
    metric = rows.task.metrics[0]
    one, same, other = (found_by(model, rows, metric, seed) for seed in (0, 0, 1))
    assert one == same
    assert one["age"]["value"] != other["age"]["value"]
    assert one["age"]["value"] == pytest.approx(other["age"]["value"], abs=0.1)


def test_every_column_is_named_while_it_is_shuffled(model: Model, rows: Development) -> None:
    told: list[tuple[str, float | None]] = []
    metric = rows.task.metrics[0]
    importances(Trial(model, rows, metric, 0), lambda text, share: told.append((text, share)))
    assert told == [(f"shuffling {name}", i / 4) for i, name in enumerate(rows.values.columns)]


def test_a_fold_is_spoken_of_by_its_own_members_by_their_weights(
    model: Model, rows: Development
) -> None:
    tables = [rows.values[fold.judge.tolist()] for fold in rows.folds]
    (first, _), (second, _) = model.folds[0][0], model.folds[1][0]
    mixed = Model([[(first, 3.0), (second, 1.0)], *model.folds[1:]], model.calibration)
    found = outputs(mixed, tables)
    expected = 0.75 * first.outputs(tables[0]) + 0.25 * second.outputs(tables[0])
    np.testing.assert_allclose(found[: len(expected)], expected, atol=1e-7)
    rest = model.folds[1][0][0].outputs(tables[1])
    np.testing.assert_array_equal(found[len(expected) :][: len(rest)], rest)


def test_a_column_is_dealt_out_anew_within_each_piece_and_nothing_else_is_touched() -> None:
    pieces = [pl.DataFrame({"a": range(i, i + 50), "b": range(50)}) for i in (0, 100)]
    first, second = shuffle(pieces, ["a"], seed=1)
    assert first["a"].sort().to_list() == list(range(50))
    assert second["a"].sort().to_list() == list(range(100, 150))
    assert first["a"].to_list() != list(range(50))
    assert first["b"].equals(pieces[0]["b"])


def test_a_fold_with_many_judge_rows_is_sampled() -> None:
    few, many = np.arange(10, 400), np.arange(7, 9_000)
    assert sample(few, 5, 0) is few
    found = sample(many, 5, 0)
    assert len(set(found.tolist())) == MOST_ROWS // 5
    assert set(found) <= set(many)
    np.testing.assert_array_equal(found, sample(many, 5, 0))


def test_of_very_many_columns_those_are_weighed_that_go_with_the_outputs() -> None:
    draw = np.random.default_rng(0)
    values = pl.DataFrame(draw.normal(size=(200, 2_500)), schema=[f"x{i}" for i in range(2_500)])
    outputs_ = np.stack([values["x7"].to_numpy(), 0.1 * values["x9"].to_numpy()], axis=1)
    found = weighed(values, outputs_)
    assert found[0] == "x7"
    assert len(found) == FEWEST_COLUMNS
    assert weighed(values[["x9", "x7"]], outputs_) == ["x9", "x7"]


def test_columns_that_tell_the_same_are_missed_when_their_kind_is_shuffled(tmp_path: Path) -> None:
    """Either of two copies makes up for the other; without both the model is lost."""
    draw = np.random.default_rng(0)
    age = draw.normal(size=240)
    table = pl.DataFrame(
        {
            "a": age + draw.normal(0, 0.01, 240),
            "b": age + draw.normal(0, 0.01, 240),
            "city": draw.choice(["Bern", "Oslo"], 240),
            "bought": np.where(age + draw.normal(0, 0.7, 240) > 0, "yes", "no"),
        }
    )
    table.write_csv(tmp_path / "t.csv")
    project = start(tmp_path / "p", tmp_path / "t.csv", edits=())
    change(project, {"model": {"learner": "linear"}, "audit.accept": ["copies:a", "copies:b"]})
    folders = _plan.run(project, _flow.Unwatched(), until="baseline").folders
    rows = load_development(folders["split"], project.settings())
    members = members_of(Part(folders["baseline"] / "linear"), rows)
    model = Model([[(m, 1.0)] for m in members], {"temperature": 1.0, "limit": 0.5,
                                                  "threshold": None})  # fmt: skip
    trial = Trial(model, rows, rows.task.metrics[0], 0)
    alone = importances(trial, lambda text, share: None)
    found = contributions(trial, alone, lambda text, share: None)
    assert [item["columns"] for item in found] == [["a", "b"], ["city"]]
    largest = max(item["value"] for item in alone)
    assert found[0]["value"] > largest + 0.1
    assert found[0]["low"] > 0
    assert found[1]["low"] <= 0 <= found[1]["high"]
    assert found[1]["value"] == next(i["value"] for i in alone if i["column"] == "city")


def test_columns_shuffled_together_stay_together() -> None:
    piece = pl.DataFrame({"a": range(50), "b": range(50), "c": range(50)})
    (found,) = shuffle([piece], ["a", "b"], seed=1)
    assert found["a"].equals(found["b"].alias("a"))
    assert not found["a"].equals(piece["a"])
    assert found["c"].equals(piece["c"])


def test_a_table_of_one_kind_has_no_contributions(model: Model, rows: Development) -> None:
    few = replace(rows, schema=Schema((rows.schema.of_kind("number")[0],)))
    assert contributions(Trial(model, few, rows.task.metrics[0], 0), [], lambda t, s: None) == []


def test_the_rounding_of_sums_is_no_importance() -> None:
    assert str(settled(-1e-16)) == "0.0"
    assert settled(0.25) == 0.25
    assert settled(float("nan")) is None


@pytest.mark.parametrize(
    ("metric", "lost"),
    [  # of the rows as they are, backwards, and moved by one
        (RMSE, (0 + 5**0.5 + 3**0.5) / 3),
        (R2, 1 - (1 - 3 - 1.4) / 3),
    ],
)
def test_an_importance_is_how_much_worse_the_figure_is_on_average(
    metric: Metric, lost: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders, seeds = iter([[0, 1, 2, 3], [3, 2, 1, 0], [1, 2, 3, 0]] * 2), list[int]()

    def dealt(pieces: list[pl.DataFrame], names: list[str], seed: int) -> list[pl.DataFrame]:
        seeds.append(seed)
        return [pieces[0][next(orders)]]

    monkeypatch.setattr(importance, "shuffle", dealt)
    y = np.arange(4.0)
    task = SimpleNamespace(
        calibrated=lambda outputs, calibration: outputs + calibration["shift"],
        read=lambda outputs, about, calibration: Said(outputs, outputs[:, 0], outputs),
    )
    rows: Any = SimpleNamespace(
        folds=[Fold(y, y, np.arange(4))],
        values=pl.DataFrame({"a": y - 3}),
        y=y,
        task=task,
        about={},
    )
    member: Any = SimpleNamespace(outputs=lambda values: values["a"].to_numpy()[:, None])
    trial = Trial(Model([[(member, 1.0)]], {"shift": 3.0}), rows, metric, 0)
    found = trial.lost(["a"], "a")
    assert found["value"] == pytest.approx(lost)
    trial.lost(["a"], "b")
    assert len(set(seeds)) == 6  # every shuffle of its own
