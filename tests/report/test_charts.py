"""Charts are rendered without a browser and take their colors from the page."""

from __future__ import annotations

import re

import pytest

from fieldcraft.report import charts

METRICS = {"auc": {"title": "ROC AUC", "value": 0.8, "low": 0.7, "high": 0.9}}
MODELS = [{"name": name, "title": name.title(), "metrics": METRICS} for name in ("simple", "deep")]
CURVE = {"train_losses": [1.0, 0.5, 0.4], "validation_losses": [1.1, 0.6, 0.7], "best_epoch": 2}
PARTS = {"train": 70, "evaluation": 15, "test": 15}
IMPORTANCE = [{"column": "age", "value": 0.1, "low": 0.05, "high": 0.2}]
THRESHOLDS = [
    {"threshold": 0.2, "precision": 0.5, "recall": 0.9},
    {"threshold": 0.8, "precision": 0.9, "recall": 0.4},
]


@pytest.mark.parametrize(
    ("svg", "labels"),
    [
        (charts.plot_models(MODELS, "auc", "deep"), ["Simple", "Deep", "ROC AUC"]),
        (charts.plot_parts(PARTS), ["train", "evaluation", "rows"]),
        (charts.plot_reliability([{"predicted": 0.2, "observed": 0.3, "rows": 9}]), ["predicted"]),
        (charts.plot_roc_curve([[0.0, 0.0], [0.1, 0.8], [1.0, 1.0]]), ["true positive rate"]),
        (charts.plot_scatter([[1.0, 2.0], [3.0, 4.0]], "price"), ["actual price", "predicted"]),
        (charts.plot_learning_curves([CURVE, CURVE]), ["epoch", "validation", "train"]),
        (charts.plot_importance(IMPORTANCE, "ROC AUC"), ["age", "decrease in ROC AUC"]),
        (charts.plot_thresholds(THRESHOLDS, 0.5), ["threshold", "precision", "recall"]),
    ],
)
def test_charts_have_labels_and_css_colors(svg: str, labels: list[str]) -> None:
    assert svg.startswith("<svg")
    assert "var(--" in svg
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    for label in labels:
        assert any(label in text for text in texts), label
