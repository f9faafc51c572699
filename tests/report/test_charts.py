"""Charts are drawn without a browser and take their colours from the page."""

from __future__ import annotations

import re

import pytest

from fieldcraft.report import charts

MEASURES = {"auc": {"title": "ROC AUC", "value": 0.8, "low": 0.7, "high": 0.9}}
LEARNERS = [
    {"name": name, "title": name.title(), "measures": MEASURES} for name in ("simple", "deep")
]
CURVE = {"train_losses": [1.0, 0.5, 0.4], "tune_losses": [1.1, 0.6, 0.7], "best_epoch": 2}


@pytest.mark.parametrize(
    ("svg", "label"),
    [
        (charts.plot_models(LEARNERS, "auc", "deep"), ["Simple", "Deep", "ROC AUC"]),
        (charts.plot_parts({"train": 70, "judge": 15, "test": 15}), ["train", "judge", "rows"]),
        (charts.plot_reliability([{"predicted": 0.2, "observed": 0.3, "rows": 9}]), ["predicted"]),
        (charts.plot_roc_curve([[0.0, 0.0], [0.1, 0.8], [1.0, 1.0]]), ["true positive rate"]),
        (charts.plot_scatter([[1.0, 2.0], [3.0, 4.0]], "price"), ["true price", "predicted"]),
        (charts.plot_learning_curves([CURVE, CURVE]), ["epoch", "tune", "training"]),
    ],
)
def test_a_chart_names_what_it_shows(svg: str, label: list[str]) -> None:
    assert svg.startswith("<svg")
    assert "var(--" in svg
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    for word in label:
        assert any(word in text for text in texts), word
