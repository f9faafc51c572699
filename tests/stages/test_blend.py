"""Models are blended where together they are better, and a blend goes all the way of a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.contracts import Array
from fieldcraft.core import catalogue, files
from fieldcraft.core.errors import BundleError
from fieldcraft.data.split import Fold
from fieldcraft.data.table import Schema
from fieldcraft.develop.candidate import models_in, outputs_of
from fieldcraft.develop.rows import Development, load_development
from fieldcraft.develop.write import check_parity, members_of, parts_of
from fieldcraft.evidence.ledger import Ledger
from fieldcraft.project.folder import Folder
from fieldcraft.report import html
from fieldcraft.report.story import Story
from fieldcraft.stages import _flow, _plan
from fieldcraft.stages.blend import selected, weigh
from tests.conftest import change, rent_table

ROWS = 500


@pytest.fixture
def y() -> Array:
    return np.random.default_rng(0).normal(size=ROWS)


def weights(y: Array, counted: Array | None = None, /, **outputs: Array) -> dict[str, float]:
    """The weights of planted outputs on tune rows, which may count differently."""
    every, empty = np.arange(len(y)), pl.DataFrame()
    task = catalogue.load("tasks", "regression")
    folds = [Fold(every[:0], every, every[:0])]
    rows = Development(empty, empty, y, [], folds, Schema(()), task, {}, "", counted)
    return weigh({name: found[:, None] for name, found in outputs.items()}, rows)


def noise(seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=ROWS)


def test_one_good_model_stays_alone(y: Array) -> None:
    assert weights(y, good=y + 0.1 * noise(1), bad=noise(2)) == {"good": 1.0}


def test_models_that_err_on_their_own_are_blended_about_evenly(y: Array) -> None:
    found = weights(y, one=y + 0.5 * noise(1), other=y + 0.5 * noise(2), bad=3 * noise(3))
    assert set(found) == {"one", "other"}
    assert sum(found.values()) == pytest.approx(1)
    assert found["one"] == pytest.approx(0.5, abs=0.15)


def test_the_better_of_two_weighs_more(y: Array) -> None:
    found = weights(y, one=y + 0.4 * noise(1), other=y + 0.7 * noise(2))
    best = 0.7**2 / (0.4**2 + 0.7**2)  # weights go by precision
    assert found["one"] == pytest.approx(best, abs=0.1)


def test_copies_of_a_model_bring_no_gain(y: Array) -> None:
    same = y + 0.5 * noise(1)
    assert len(weights(y, one=same, copy=same)) == 1


@pytest.mark.parametrize(
    ("errors", "weights_"),
    [
        ({"one": 1.0, "other": -1.0}, {"one": 0.5, "other": 0.5}),
        # One, other, one, one, other, ...: each turn what brings the sum of errors nearest to 0.
        ({"one": 1.0, "other": -2.0}, {"one": 0.7, "other": 0.3}),
        ({"one": 1.0, "other": 2.0, "third": 3.0}, {"one": 1.0}),
        ({"other": -3.5, "one": 1.0}, {"other": 0.2, "one": 0.8}),
    ],
)
def test_weights_are_how_often_a_model_was_chosen_of_ten_times(
    errors: dict[str, float], weights_: dict[str, float], y: Array
) -> None:
    """With errors that are the same in each row, every resample ends in the same choice."""
    found = weights(y, **{name: y + error for name, error in errors.items()})
    assert found == pytest.approx(weights_)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_each_choice_is_the_one_that_most_improves_the_mean(seed: int, models: int) -> None:
    draw = np.random.default_rng(seed)
    y = draw.normal(size=6)
    outputs = {f"m{i}": y + draw.normal(size=6) for i in range(models)}

    def loss(mean: Array, truth: Array) -> float:
        return float(((mean - truth) ** 2).mean())

    chosen = selected(outputs, y, loss)
    assert len(chosen) == 10
    for turn, name in enumerate(chosen):
        tried = {
            other: loss(np.mean([outputs[n] for n in [*chosen[:turn], other]], axis=0), y)
            for other in outputs
        }
        assert tried[name] == pytest.approx(min(tried.values()))


def test_rows_count_by_their_weights_in_the_choice_and_in_the_gain() -> None:
    truth = np.zeros(400)
    heavy = np.arange(400) < 200
    here, there = np.where(heavy, 0.1, 5.0), np.where(heavy, 5.0, 0.1)
    counted = np.where(heavy, 1.0, 1e-9)
    assert weights(truth, counted, here=here, there=there) == {"here": 1.0}
    assert weights(truth, counted[::-1].copy(), here=here, there=there) == {"there": 1.0}


def test_no_part_is_so_light_that_it_is_not_worth_carrying(y: Array) -> None:
    found = weights(y, one=y + 0.2 * noise(1), other=y + 0.9 * noise(2))
    assert all(weight >= 0.1 for weight in found.values())


def test_a_model_that_is_alone_anyway_is_weighed_too(y: Array) -> None:
    assert weights(y, only=noise(1)) == {"only": 1.0}


@pytest.fixture(scope="module")
def story(blended_once: Path) -> Story:
    return _flow.latest(Folder(blended_once / "project"))


@pytest.fixture(scope="module")
def rows(story: Story) -> Development:
    return load_development(story.folders["split"], story.settings)


def places(story: Story) -> dict[str, Path]:
    return models_in({name: story.folders[name] for name in ("baseline", "train", "blend")})


def test_models_that_know_one_half_each_make_a_champion_together(story: Story) -> None:
    assert story.evaluation["champion"] == "blend"
    parts = files.read_json(places(story)["blend"] / "model.json")["parts"]
    titles = {"lightgbm": "LightGBM", "linear": "linear model"}
    assert set(parts) == {"lightgbm", "linear"}
    verdicts = {item["b"]: item["verdict"] for item in story.evaluation["comparisons"]}
    assert verdicts["lightgbm"] == verdicts["linear"] == "better"
    assert story.champion["title"] == "blend of 2 models"
    words = [f"{share:.0%} {titles[name]}" for name, share in parts.items()]
    assert html.blend(story) == " and ".join(words)


def test_the_outputs_of_a_blend_are_the_weighted_mean(story: Story, rows: Development) -> None:
    found = places(story)
    parts = files.read_json(found["blend"] / "model.json")["parts"]
    tables = {name: pl.read_parquet(found[name] / "predictions.parquet") for name in found}
    for fold in range(len(rows.folds)):
        expected = sum(w * outputs_of(tables[n], fold, "judge") for n, w in parts.items())
        np.testing.assert_allclose(outputs_of(tables["blend"], fold, "judge"), expected, atol=1e-12)


def test_a_blend_is_explained_and_packaged_with_parity(story: Story, rows: Development) -> None:
    assert story.importance[0]["column"] == "floor"  # what only the trees know
    assert {item["column"] for item in story.importance} >= {"x0", "x7", "district", "green"}
    bundle = story.project.bundle
    parts = parts_of(places(story)["blend"], places(story))
    assert check_parity(bundle, parts, rows) <= 1e-5
    weights = {m["folder"]: m["weight"] for m in read_manifest(bundle)["members"]}
    assert weights == {
        f"members/{part.folder.name}-{fold}": part.weight / 5 for part in parts for fold in range(5)
    }


def test_a_changed_part_of_a_blend_is_noticed(blended: Folder) -> None:
    story = _flow.latest(blended)
    rows = load_development(story.folders["split"], story.settings)
    table = places(story)["linear"] / "predictions.parquet"
    third = pl.when(pl.col("fold") == 3).then(1e-3).otherwise(0.0)
    pl.read_parquet(table).with_columns(pl.col("out_0") + third).write_parquet(table)
    parts = parts_of(places(story)["blend"], places(story))
    with pytest.raises(BundleError, match=r"(?s)does not predict.*linear, member 3"):
        check_parity(blended.bundle, parts, rows)


def test_its_bundle_predicts_the_weighted_mean_of_all_members_and_brings_what_it_joins(
    story: Story, rows: Development
) -> None:
    new = rent_table(300, seed=9)
    bundle = load_bundle(story.project.bundle)
    assert "trees" not in bundle.columns  # the bundle brings them
    assert "times" not in bundle.columns
    found = bundle.predict(new.drop("rent", "times", "flat"))
    trees = new["district"].str.strip_prefix("d").cast(pl.Int64).alias("trees")
    values = rows.schema.apply(new.with_columns(trees))
    parts = parts_of(places(story)["blend"], places(story))
    expected = sum(
        part.weight / sum(part.weight for part in parts) / 5 * member.outputs(values)[:, 0]
        for part in parts
        for member in members_of(part, rows)
    )
    np.testing.assert_allclose(found["prediction"].to_numpy(), expected, atol=1e-5 * rows.y.std())
    inside = (found["prediction_low"] <= new["rent"]) & (new["rent"] <= found["prediction_high"])
    assert 0.82 < inside.mean() < 0.97  # type: ignore[operator]


def test_rows_that_the_filter_leaves_out_are_in_no_part(story: Story) -> None:
    parts = pl.read_parquet(story.folders["split"] / "split.parquet")
    low = rent_table()["floor"] <= -2.9
    assert low.sum() > 0
    assert ((parts["part"] == "unused") == low).all()


def test_the_decision_is_on_record(story: Story) -> None:
    entries = Ledger(story.project.ledger).entries(kind="decision", stage="blend")
    (body,) = [entry.body for entry in entries]
    assert set(body["weights"]) == {"lightgbm", "linear"}


def test_without_a_wish_for_it_there_is_no_blend_and_nothing_is_trained_again(
    blended: Folder,
) -> None:
    change(blended, {"model.blend": False})
    outcome = _plan.run(blended, _flow.Unwatched(), until="evaluate")
    assert outcome.summaries["blend"] == {"parts": {}}
    evaluation = files.read_json(outcome.folders["evaluate"] / "evaluation.json")
    assert evaluation["champion"] in ("lightgbm", "linear")
    assert len(Ledger(blended.ledger).entries(kind="done", stage="train")) == 1
