"""Counts of batches are added up by model and column; unknown counts add no metrics."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from fieldcraft.serving.metrics import ServerMetrics
from tests.serving.in_process import metric_value


def test_tallies_are_added_up_by_model_and_column() -> None:
    metrics = ServerMetrics()
    for rows in (3, 4):
        metrics.add_tally(
            "shop",
            {
                "rows": rows,
                "ood": 1,
                "extra_columns": 2,
                "log_dropped": 5,
                "batch_size": rows,
                "unseen_category\ncity": 1,
                "out_of_range\nage": 2,
                "odd\nage": 9,
                "new": 9,
            },
        )
    metrics.add_tally("other", {"rows": 1, "unseen_category\nland": 7})
    text = metrics.to_text().decode()
    names = {
        'predicted_rows_total{model="shop"}': 7, 'predicted_rows_total{model="other"}': 1,
        'ood_rows_total{model="shop"}': 2, 'extra_columns_total{model="shop"}': 4,
        'log_dropped_rows_total{model="shop"}': 10,
        'unseen_categories_total{column="city",model="shop"}': 2,
        'unseen_categories_total{column="land",model="other"}': 7,
        'out_of_range_values_total{column="age",model="shop"}': 4,
        'batch_size_sum{model="shop"}': 7, 'batch_size_count{model="shop"}': 2,
        'batch_size_bucket{le="2.0",model="shop"}': 0,
        'batch_size_bucket{le="4.0",model="shop"}': 2,
    }  # fmt: skip
    assert {name: metric_value(text, f"fieldcraft_{name}") for name in names} == names
    assert "new" not in text.replace("new ", "")
    assert 'column="age"' not in "".join(line for line in text.splitlines() if "unseen" in line)


def test_metrics_have_the_types_of_prometheus() -> None:
    families = text_string_to_metric_families(ServerMetrics().to_text().decode())
    types = {family.name: family.type for family in families}
    for name in ("requests", "predicted_rows", "worker_restarts", "dropped_requests"):
        assert types[f"fieldcraft_{name}"] == "counter"
    assert types["fieldcraft_request_duration_seconds"] == "histogram"
    assert types["fieldcraft_queue_depth"] == types["fieldcraft_model_info"] == "gauge"
