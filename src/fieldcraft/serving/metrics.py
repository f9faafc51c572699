"""Metrics of a server for Prometheus.

Label values come from the server and its models, never from clients: each new value is a new time
series, and a client could create them without end.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

LATENCY_BUCKETS_SECONDS = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
)  # fmt: skip
BATCH_SIZE_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)
MODEL_LABELS, COLUMN_LABELS = ("model",), ("model", "column")
METRIC_PREFIX = "fieldcraft_"


class ServerMetrics:
    """Counters, gauges and histograms of a server, by model."""

    def __init__(self) -> None:
        """Create all metrics, in a separate registry."""
        # The global registry would be shared by all servers of a process; the tests run several.
        self.registry = registry = CollectorRegistry()

        def counter(name: str, text: str, labels: tuple[str, ...] = MODEL_LABELS) -> Counter:
            return Counter(METRIC_PREFIX + name, text, labels, registry=registry)

        def gauge(name: str, text: str, labels: tuple[str, ...] = MODEL_LABELS) -> Gauge:
            return Gauge(METRIC_PREFIX + name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(
                METRIC_PREFIX + name, text, MODEL_LABELS, registry=registry, buckets=buckets
            )

        self.requests = counter(
            "requests", "Requests, by error code and HTTP status.", ("model", "code", "status")
        )
        self.request_duration_seconds = histogram(
            "request_duration_seconds", "Time from request to answer.", LATENCY_BUCKETS_SECONDS
        )
        self.batch_size = histogram("batch_size", "Requests per batch.", BATCH_SIZE_BUCKETS)
        self.rows = counter("predicted_rows", "Rows predicted.")
        self.ood_rows = counter("ood_rows", "Rows with values outside the training data.")
        self.extra_columns = counter("extra_columns", "Cells of columns unknown to the model.")
        self.unseen_categories = counter(
            "unseen_categories", "Categories that training did not have.", COLUMN_LABELS
        )
        self.out_of_range_values = counter(
            "out_of_range_values", "Numbers outside the range of training.", COLUMN_LABELS
        )
        self.model_reloads = counter(
            "model_reloads", "Reloads of the bundle, by outcome.", ("model", "outcome")
        )
        self.log_dropped_rows = counter(
            "log_dropped_rows", "Rows that were not written to the prediction log."
        )
        self.queue_depth = gauge("queue_depth", "Requests in the queue.")
        self.dropped_requests = counter(
            "dropped_requests", "Requests that ended in the queue: timeouts and disconnects."
        )
        self.worker_restarts = counter(
            "worker_restarts", "Worker processes that ended and were replaced."
        )
        self.model_info = gauge("model_info", "Version of the model.", ("model", "version"))

    def add_tally(self, model_name: str, counts: dict[str, int]) -> None:
        """Add the counts of a batch.

        Args:
            model_name: name of the model.
            counts: counts by key, as `fieldcraft.serving.worker.flatten_tally` returns them, and
                ``batch_size``, the number of requests. Unknown keys are ignored.
        """
        self.batch_size.labels(model_name).observe(counts.get("batch_size", 0))
        counter_by_key = {
            "rows": self.rows,
            "ood": self.ood_rows,
            "extra_columns": self.extra_columns,
            "log_dropped": self.log_dropped_rows,
        }
        column_counter_by_key = {
            "unseen_category": self.unseen_categories,
            "out_of_range": self.out_of_range_values,
        }
        for key, count in counts.items():
            name, _, column = key.partition("\n")  # the separator of `flatten_tally`
            if name in counter_by_key:
                counter_by_key[name].labels(model_name).inc(count)
            elif name in column_counter_by_key:
                column_counter_by_key[name].labels(model_name, column).inc(count)

    def to_text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)
