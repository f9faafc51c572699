"""The page about a model at work says what stands, and needs nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.monitoring.monitor import DriftMonitor
from fieldcraft.monitoring.windows import predict_window
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import MonitorSettings
from fieldcraft.report import monitoring_report
from tests.conftest import mixed_table
from tests.report.test_project_report import visible_text


@pytest.fixture(scope="module")
def bundle(finished_project_folder: Path) -> Bundle:
    return load_bundle(ProjectFolder(finished_project_folder / "project").bundle_path)


def make_result(monitor: DriftMonitor, **more: Any) -> dict[str, Any]:
    return {
        "model_id": monitor.bundle.model_id, "windows": monitor.n_windows, "new": [],
        "stand": list(monitor.active_alerts.values()), "reference": 204, "not_watched": [],
        "expected": monitor.expected_accuracy(), **more,
    }  # fmt: skip


def test_a_quiet_page_is_whole(bundle: Bundle) -> None:
    watcher = DriftMonitor(bundle, MonitorSettings())
    text = visible_text(monitoring_report.render_monitoring_report(watcher, make_result(watcher)))
    assert "Quiet: nothing is broken" in text
    watcher.process_window(predict_window(mixed_table(9).cast(pl.String), bundle))
    assert "not enough rows" in visible_text(
        monitoring_report.render_monitoring_report(watcher, make_result(watcher))
    )


def test_alerts_and_charts_are_there_and_names_are_harmless(bundle: Bundle) -> None:
    watcher = DriftMonitor(bundle, MonitorSettings())
    for seed in range(5):
        rows = mixed_table(300, seed=seed).with_columns(
            city=pl.lit("<script>alert(1)</script>"), age=pl.col("age") + 8
        )
        watcher.process_window(predict_window(rows.cast(pl.String), bundle))
    page = monitoring_report.render_monitoring_report(
        watcher, make_result(watcher, not_watched=["<b>"])
    )
    text = visible_text(page)
    assert "1 column broken" in text
    assert "city: 100% of the rows are words that training did not show" in text
    assert "age: distance" in text
    assert page.count("<svg") >= 2
    assert "<script" not in page
    assert "<b>&lt;" not in page
    assert "&lt;b&gt;" in page
    assert not re.findall(r'(?:src|href)="(?!#)[^"]+"', page)


def test_labels_and_what_is_expected_without_them_are_told(bundle: Bundle) -> None:
    watcher = DriftMonitor(bundle, MonitorSettings())
    watcher.process_window(predict_window(mixed_table(300, seed=5).cast(pl.String), bundle))
    known = {"rows": 120, "coverage": 0.4, "loss": 0.1, "low": 0.05, "high": 0.2,
             "reference": 0.09, "allowed": 0.12, "right": 0.8, "alarmed": True}  # fmt: skip
    text = visible_text(
        monitoring_report.render_monitoring_report(watcher, make_result(watcher, performance=known))
    )
    assert "120 labels, of 40.0% of the predictions" in text
    assert "Predictions have become worse." in text
    assert "right decisions expected" in text
    group = {"column": "sex", "group": "Female", "rows": 60, "loss": 0.2, "reference": 0.1,
             "allowed": 0.13, "alarmed": True}  # fmt: skip
    text = visible_text(
        monitoring_report.render_monitoring_report(
            watcher, make_result(watcher, performance={**known, "groups": [group]})
        )
    )
    assert "sex: Female 60 0.2000 0.1000 0.1300 worse" in " ".join(text.split())


def test_of_very_many_bins_the_fullest_are_drawn_in_their_order() -> None:
    levels = [f"a rather long name of a level, number {i}" for i in range(40)]
    about = {"form": "word", "levels": levels}
    counts = pl.Series([0, 0, 0, *range(40)]).to_numpy()
    shown = monitoring_report.select_fullest_bins(about, counts[::-1].copy(), counts)
    assert len(shown) == monitoring_report.MAX_BINS_SHOWN
    assert len({item["bin"] for item in shown}) == monitoring_report.MAX_BINS_SHOWN
    assert all(len(item["bin"]) < 36 for item in shown)
