"""The gauges are what Prometheus reads, whatever columns are called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Watch
from fieldcraft.serving import gauges
from fieldcraft.serving.watcher import Watcher
from fieldcraft.serving.windows import predicted
from tests.conftest import mixed_table


@pytest.fixture(scope="module")
def bundle(finished_once: Path) -> Bundle:
    return load_bundle(Folder(finished_once / "project").bundle)


def test_prometheus_reads_them(bundle: Bundle, tmp_path: Path) -> None:
    watcher = Watcher(bundle, Watch())
    rows = mixed_table(300, seed=5).with_columns(city=pl.lit("Atlantis")).cast(pl.String)
    watcher.look(predicted(rows, bundle))
    odd = 'a "column"\nof\\two'
    key = next(key for key in watcher.measures if key.startswith("age"))
    watcher.measures[key] = replace(watcher.measures[key], column=odd)
    gauges.write(tmp_path / "metrics.prom", watcher)
    text = (tmp_path / "metrics.prom").read_text(encoding="utf-8")
    found = {family.name: family.samples for family in text_string_to_metric_families(text)}
    assert set(found) == {f"fieldcraft_watch_{name}" for name in gauges.HELP}
    assert odd in {sample.labels["measure"] for sample in found["fieldcraft_watch_level"]}
    broken = {sample.labels["kind"]: sample.value for sample in found["fieldcraft_watch_alerts"]}
    assert broken["broken"] >= 1
    assert found["fieldcraft_watch_windows"][0].value == 1


def test_each_gauge_has_its_line(bundle: Bundle) -> None:
    watcher = Watcher(bundle, Watch())
    watcher.windows = 3
    watcher.history = [
        {"levels": {"age|value": [1.5, 0.25], "city|value": [0.5, 0.125]}},
        {"levels": {"age|value": [2.5, 0.5]}},
    ]
    watcher.alerts = {"1": {"kind": "drift"}, "2": {"kind": "drift"}, "3": {"kind": "broken"}}
    model = f'model="{bundle.model_id[:16]}"'
    limit = watcher.measures["age|value"].stream.limits.level
    figures = [line for line in gauges.lines(watcher) if not line.startswith("#")]
    assert figures == [
        f'fieldcraft_watch_level{{{model},measure="age"}} 2.5',
        f'fieldcraft_watch_level{{{model},measure="city"}} 0.5',
        f"fieldcraft_watch_limit{{{model}}} {limit:g}",
        f'fieldcraft_watch_effect{{{model},measure="age"}} 0.5',
        f'fieldcraft_watch_effect{{{model},measure="city"}} 0.125',
        f'fieldcraft_watch_alerts{{{model},kind="broken"}} 1',
        f'fieldcraft_watch_alerts{{{model},kind="drift"}} 2',
        f"fieldcraft_watch_windows{{{model}}} 3",
    ]
