"""The gauges are what Prometheus reads, whatever columns are called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
from prometheus_client.parser import text_string_to_metric_families

from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Watch
from fieldcraft.serving import gauges
from fieldcraft.serving.watcher import Watcher
from fieldcraft.serving.windows import predicted
from tests.conftest import mixed_table


def test_prometheus_reads_them(finished: Folder, tmp_path: Path) -> None:
    bundle = load_bundle(finished.bundle)
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
