"""Gates: better on average is not enough, and each refusal says why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.develop.challenge import (
    Gate,
    Match,
    Pair,
    gate_calibration,
    gate_schema,
    gate_size,
    gate_speed,
    gates,
    matched,
)
from fieldcraft.develop.fresh import Known
from fieldcraft.develop.rows import Development, load_development
from fieldcraft.evidence.bootstrap import Draw
from fieldcraft.evidence.metrics import Said
from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Deploy, Settings
from fieldcraft.stages import _flow
from tests.conftest import change

Array = Any


@pytest.fixture
def settings(finished: Folder) -> Settings:
    return change(finished, {"problem.groups": ["city"]}).settings()


@pytest.fixture
def rows(finished: Folder, settings: Settings) -> Development:
    return load_development(_flow.latest(finished).folders["split"], settings)


@pytest.fixture
def pair(finished: Folder) -> Pair:
    bundle = load_bundle(finished.bundle)
    return Pair(bundle, bundle, (finished.bundle, finished.bundle))


def said(chance: Array) -> Said:
    """What a model says that gives these chances of yes."""
    outputs = np.stack([1 - chance, chance], axis=1)
    return Said(outputs, outputs.argmax(1), np.ones_like(outputs, dtype=bool))


def chances(y: Array, right: float | Array, seed: int) -> Array:
    """Chances that are on the right side as often as is said, and surer the more they are."""
    draw = np.random.default_rng(seed)
    good = draw.random(len(y)) < right
    far = draw.uniform(0.55, 0.95, len(y))
    return np.where(good == (y == 1), far, 1 - far)


def match(rows: Development, champion: Array, challenger: Array, frozen: float = 0.5) -> Match:
    places = np.arange(len(rows.y))
    return Match(
        rows, places, places < frozen * len(places), said(champion), said(challenger), rows.y
    )


def judged(found: Match, pair: Pair, settings: Settings) -> dict[str, Gate]:
    metric = next(m for m in rows_metric(found) if m.name == "roc_auc")
    return {gate.name: gate for gate in gates(found, pair, metric, settings, 0)}


def rows_metric(found: Match) -> Any:
    return found.rows.task.metrics


def test_better_on_every_part_passes(rows: Development, pair: Pair, settings: Settings) -> None:
    found = judged(match(rows, chances(rows.y, 0.6, 0), chances(rows.y, 0.95, 1)), pair, settings)
    assert all(gate.passed for gate in found.values()), found
    assert set(found["groups"].figures["groups"]) == {"city: Bern", "city: Oslo", "city: Rome"}
    assert set(found["better"].figures["parts"]) == {"all", "frozen", "recent"}


def test_level_is_not_better(rows: Development, pair: Pair, settings: Settings) -> None:
    same = chances(rows.y, 0.8, 0)
    found = judged(match(rows, same, same), pair, settings)
    assert not found["better"].passed
    assert "level" in found["better"].text


def test_worse_on_frozen_rows_is_refused_though_it_is_better_on_average(
    rows: Development, pair: Pair, settings: Settings
) -> None:
    early = np.arange(len(rows.y)) < 0.3 * len(rows.y)
    champion = chances(rows.y, np.where(early, 0.98, 0.4), 0)
    challenger = chances(rows.y, np.where(early, 0.5, 0.98), 1)
    found = judged(match(rows, champion, challenger, frozen=0.3), pair, settings)
    assert found["better"].figures["parts"]["all"]["verdict"] == "better"
    assert found["better"].figures["parts"]["frozen"]["verdict"] == "worse"
    assert not found["better"].passed


def test_worse_for_one_group_is_refused_though_it_is_better_on_average(
    rows: Development, pair: Pair, settings: Settings
) -> None:
    here = (rows.values["city"] == "Bern").to_numpy()
    champion = chances(rows.y, np.where(here, 0.95, 0.55), 0)
    challenger = chances(rows.y, np.where(here, 0.55, 0.98), 1)
    found = judged(match(rows, champion, challenger), pair, settings)
    assert found["better"].figures["parts"]["all"]["verdict"] == "better"
    assert not found["groups"].passed
    assert "worse for city: Bern" in found["groups"].text


def test_less_honest_probabilities_are_refused(rows: Development) -> None:
    y, draw = rows.y, Draw(len(rows.y), 0)
    honest = np.where(y == 1, 0.7, 0.3)
    honest[::4] = np.round(1 - honest[::4], 3)
    sure = np.where(honest > 0.5, 0.999, 0.001)
    assert not gate_calibration(match(rows, honest, sure), draw).passed
    assert gate_calibration(match(rows, sure, honest), draw).passed


def test_intervals_that_hold_too_little_are_refused(blended: Folder) -> None:
    rows = load_development(_flow.latest(blended).folders["split"], blended.settings())
    y, places = rows.y, np.arange(len(rows.y))

    def about(half: float) -> Said:
        return Said(y[:, None], y, np.stack([y - half, y + half], axis=1))

    narrow = replace(about(1.0), regions=np.stack([y + 1, y + 2], axis=1))
    found = Match(rows, places, places < 100, about(1.0), narrow, y)
    gate = gate_calibration(found, Draw(len(y), 0))
    assert not gate.passed
    assert gate.text == "intervals hold 0.0% of the rows, held 100.0%, should hold 90%"
    better = Match(rows, places, places < 100, narrow, about(1.0), y)
    assert gate_calibration(better, Draw(len(y), 0)).passed


class Slow(Bundle):
    """A bundle that takes its time."""

    def predict(self, rows: Any) -> Any:
        import time

        time.sleep(0.02)
        return super().predict(rows)


def test_slower_and_larger_are_refused(
    rows: Development, pair: Pair, settings: Settings, tmp_path: Path
) -> None:
    same = match(rows, chances(rows.y, 0.8, 0), chances(rows.y, 0.8, 0))
    assert gate_speed(same, pair, settings).passed
    slow = Slow(pair.challenger.manifest, pair.challenger.members)
    gate = gate_speed(same, replace(pair, challenger=slow), settings)
    assert not gate.passed
    assert "ms a row, was" in gate.text
    assert gate_size(pair, settings).passed
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "weights").write_bytes(bytes(4_000_000))
    large = replace(pair, folders=(pair.folders[0], tmp_path / "large"))
    assert not gate_size(large, settings).passed
    limited = settings.model_copy(update={"deploy": Deploy(latency=1e-6, size=1e-6)})
    assert not gate_speed(same, pair, limited).passed
    assert not gate_size(pair, limited).passed


def test_callers_must_be_able_to_ask_it_and_to_understand_it(pair: Pair) -> None:
    assert gate_schema(pair.champion, pair.challenger).passed

    def other(**about: Any) -> Bundle:
        return Bundle({**pair.champion.manifest, **about}, pair.champion.members)

    known = pair.champion.manifest["schema"]
    more = {
        **known,
        "columns": [*known["columns"], {"name": "pulse", "kind": "number", "options": {}}],
    }
    gate = gate_schema(pair.champion, other(schema=more))
    assert (gate.passed, gate.text) == (False, "it asks for more columns: pulse")
    fewer = {**known, "columns": known["columns"][:1]}
    assert gate_schema(pair.champion, other(schema=fewer)).passed
    classes = {**pair.champion.about, "classes": ["no", "yes", "maybe"]}
    assert gate_schema(pair.champion, other(about=classes)).text == "the classes are others: maybe"
    assert not gate_schema(pair.champion, other(task="regression", about={})).passed


def test_without_a_row_that_both_may_be_judged_on_there_is_no_match(
    rows: Development, pair: Pair
) -> None:
    digests = [str(place).encode() for place in range(len(rows.y))]
    trained = pl.DataFrame({"digest": digests, "part": "train", "fold": -1})
    assert matched(rows, digests, Known(Path(), rows.frame, trained, frozenset()), pair) is None
