"""Figures of a server for Prometheus; labels come from the server and its models, not callers."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

LATENCIES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
ONE, COLUMN = ("model",), ("model", "column")
PREFIX = "fieldcraft_"


class Counters:
    """What a server counts, of each of its models."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self.registry = registry = CollectorRegistry()

        def counter(name: str, text: str, labels: tuple[str, ...] = ONE) -> Counter:
            return Counter(PREFIX + name, text, labels, registry=registry)

        def gauge(name: str, text: str, labels: tuple[str, ...] = ONE) -> Gauge:
            return Gauge(PREFIX + name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(PREFIX + name, text, ONE, registry=registry, buckets=buckets)

        self.requests = counter("requests", "Requests answered.", ("model", "code"))
        self.seconds = histogram("request_seconds", "From arrival to answer.", LATENCIES)
        self.batches = histogram("batch_requests", "Requests computed together.", SIZES)
        self.rows = counter("rows", "Rows predicted.")
        self.ood = counter("ood_rows", "Rows with something that training did not show.")
        self.extra = counter("extra_columns", "Cells of columns that the model does not know.")
        self.unseen = counter("unseen_categories", "Words that training did not show.", COLUMN)
        self.beyond = counter("out_of_range", "Numbers outside the range of training.", COLUMN)
        self.swaps = counter("swaps", "Changes of version, by outcome.", ("model", "outcome"))
        self.unlogged = counter("log_dropped_rows", "Rows that the prediction log had to drop.")
        self.queue = gauge("queue", "Requests waiting.")
        self.dropped = gauge("dropped_requests", "Requests dropped before they were computed.")
        self.deaths = gauge("worker_deaths", "Processes of the model that died.")
        self.version = gauge("model_info", "The version that answers.", ("model", "version"))

    def tally(self, model: str, counts: dict[str, int]) -> None:
        """Add what a batch came to.

        Args:
            model: by name.
            counts: as `fieldcraft.serving.worker.flat` writes them.
        """
        self.batches.labels(model).observe(counts.pop("batched", 0))
        plain = {
            "rows": self.rows,
            "ood": self.ood,
            "extra_columns": self.extra,
            "log_dropped": self.unlogged,
        }
        by_column = {"unseen": self.unseen, "out_of_range": self.beyond}
        for key, count in counts.items():
            name, _, column = key.partition("\n")
            if name in plain:
                plain[name].labels(model).inc(count)
            elif name in by_column:
                by_column[name].labels(model, column).inc(count)

    def text(self) -> bytes:
        """All figures as Prometheus reads them."""
        return generate_latest(self.registry)
