"""Figures of a server for Prometheus; labels come from the server and its models, not callers."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

LATENCY_BUCKETS_SECONDS = (
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    30.0,
)
BATCH_SIZE_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)
MODEL_LABELS, COLUMN_LABELS = ("model",), ("model", "column")
METRIC_PREFIX = "fieldcraft_"


class ServerMetrics:
    """What a server counts, of each of its models."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self.registry = registry = CollectorRegistry()

        def counter(name: str, text: str, labels: tuple[str, ...] = MODEL_LABELS) -> Counter:
            return Counter(METRIC_PREFIX + name, text, labels, registry=registry)

        def gauge(name: str, text: str, labels: tuple[str, ...] = MODEL_LABELS) -> Gauge:
            return Gauge(METRIC_PREFIX + name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(
                METRIC_PREFIX + name, text, MODEL_LABELS, registry=registry, buckets=buckets
            )

        self.requests = counter("requests", "Requests answered.", ("model", "code"))
        self.request_duration_seconds = histogram(
            "request_seconds", "From arrival to answer.", LATENCY_BUCKETS_SECONDS
        )
        self.batch_size = histogram(
            "batch_requests", "Requests computed together.", BATCH_SIZE_BUCKETS
        )
        self.rows = counter("rows", "Rows predicted.")
        self.ood_rows = counter("ood_rows", "Rows with something that training did not show.")
        self.extra_columns = counter(
            "extra_columns", "Cells of columns that the model does not know."
        )
        self.unseen_categories = counter(
            "unseen_categories", "Words that training did not show.", COLUMN_LABELS
        )
        self.out_of_range_values = counter(
            "out_of_range", "Numbers outside the range of training.", COLUMN_LABELS
        )
        self.model_reloads = counter(
            "swaps", "Changes of version, by outcome.", ("model", "outcome")
        )
        self.log_dropped_rows = counter(
            "log_dropped_rows", "Rows that the prediction log had to drop."
        )
        self.queue_depth = gauge("queue", "Requests waiting.")
        self.dropped_requests = gauge(
            "dropped_requests", "Requests dropped before they were computed."
        )
        self.worker_restarts = gauge("worker_deaths", "Processes of the model that died.")
        self.model_info = gauge("model_info", "The version that answers.", ("model", "version"))

    def add_tally(self, model_name: str, counts: dict[str, int]) -> None:
        """Add what a batch came to.

        Args:
            model_name: by name.
            counts: as `fieldcraft.serving.worker.flat` writes them.
        """
        self.batch_size.labels(model_name).observe(counts.pop("batched", 0))
        counter_by_key = {
            "rows": self.rows,
            "ood": self.ood_rows,
            "extra_columns": self.extra_columns,
            "log_dropped": self.log_dropped_rows,
        }
        column_counter_by_key = {
            "unseen": self.unseen_categories,
            "out_of_range": self.out_of_range_values,
        }
        for key, count in counts.items():
            name, _, column = key.partition("\n")
            if name in counter_by_key:
                counter_by_key[name].labels(model_name).inc(count)
            elif name in column_counter_by_key:
                column_counter_by_key[name].labels(model_name, column).inc(count)

    def to_text(self) -> bytes:
        """All figures as Prometheus reads them."""
        return generate_latest(self.registry)
