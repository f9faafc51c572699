"""The monitoring report shows alerts and performance, and is self-contained."""

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
        "model_id": monitor.bundle.model_id, "windows": monitor.n_windows, "new_alerts": [],
        "active_alerts": list(monitor.active_alerts.values()), "reference_rows": 204,
        "unmonitored_columns": [], "expected_accuracy": monitor.expected_accuracy(), **more,
    }  # fmt: skip


def test_a_quiet_report_is_well_formed(bundle: Bundle) -> None:
    monitor = DriftMonitor(bundle, MonitorSettings())
    text = visible_text(monitoring_report.render_monitoring_report(monitor, make_result(monitor)))
    assert "Quiet: no data-quality or drift alerts." in text
    monitor.process_window(predict_window(mixed_table(9).cast(pl.String), bundle))
    assert "not enough rows" in visible_text(
        monitoring_report.render_monitoring_report(monitor, make_result(monitor))
    )


def test_alerts_and_charts_are_shown_and_names_are_escaped(bundle: Bundle) -> None:
    monitor = DriftMonitor(bundle, MonitorSettings())
    for seed in range(5):
        rows = mixed_table(300, seed=seed).with_columns(
            city=pl.lit("<script>alert(1)</script>"), age=pl.col("age") + 8
        )
        monitor.process_window(predict_window(rows.cast(pl.String), bundle))
    page = monitoring_report.render_monitoring_report(
        monitor, make_result(monitor, unmonitored_columns=["<b>"])
    )
    text = visible_text(page)
    assert "Alerts: 1 data-quality" in text
    assert "city: unseen categories in 100% of the rows" in text
    assert "age: distance" in text
    assert page.count("<svg") >= 2
    assert "<script" not in page
    assert "<b>&lt;" not in page
    assert "&lt;b&gt;" in page
    assert not re.findall(r'(?:src|href)="(?!#)[^"]+"', page)


def test_performance_and_expected_accuracy_are_shown(bundle: Bundle) -> None:
    monitor = DriftMonitor(bundle, MonitorSettings())
    monitor.process_window(predict_window(mixed_table(300, seed=5).cast(pl.String), bundle))
    performance = {
        "rows": 120, "labeled_fraction": 0.4, "loss": 0.1, "low": 0.05, "high": 0.2,
        "reference_loss": 0.09, "loss_threshold": 0.12, "accuracy": 0.8, "is_degraded": True,
    }  # fmt: skip
    text = visible_text(
        monitoring_report.render_monitoring_report(
            monitor, make_result(monitor, performance=performance)
        )
    )
    assert "120 labels, for 40.0% of the predictions" in text
    assert "Performance has degraded." in text
    assert "expected accuracy" in text
    group = {"column": "sex", "group": "Female", "rows": 60, "loss": 0.2,
             "reference_loss": 0.1, "loss_threshold": 0.13, "is_degraded": True}  # fmt: skip
    text = visible_text(
        monitoring_report.render_monitoring_report(
            monitor, make_result(monitor, performance={**performance, "groups": [group]})
        )
    )
    assert "sex: Female 60 0.2000 0.1000 0.1300 degraded" in " ".join(text.split())


def test_of_very_many_bins_the_fullest_are_drawn_in_their_order() -> None:
    categories = [f"a rather long name of a category, number {i}" for i in range(40)]
    bin_spec = {"type": "categorical", "categories": categories}
    counts = pl.Series([0, 0, 0, *range(40)]).to_numpy()
    shown = monitoring_report.select_fullest_bins(bin_spec, counts[::-1].copy(), counts)
    assert len(shown) == monitoring_report.MAX_BINS_SHOWN
    assert len({item["bin"] for item in shown}) == monitoring_report.MAX_BINS_SHOWN
    assert all(len(item["bin"]) < 36 for item in shown)
