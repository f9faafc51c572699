"""Read the metrics of a server: requests, errors and latency since the last run.

The format is that of Prometheus; the source is the server's URL or a file. A counter that has
fallen belongs to a restarted server, so all that it counts is new.
"""

from __future__ import annotations

import http.client
import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from fieldcraft.core.errors import DataError
from fieldcraft.core.types import Json

HTTP_TIMEOUT_SECONDS = 5.0
# Labels do not come from clients, so the metrics stay far smaller than this.
MAX_METRICS_BYTES = 8 << 20
MIN_CLIENT_ERROR_STATUS, MIN_SERVER_ERROR_STATUS = 400, 500
# nginx's status for a client that disconnected before the answer: an error of neither side.
CLIENT_DISCONNECTED_STATUS = 499
LATENCY_QUANTILES = {"median_latency_seconds": 0.5, "p99_latency_seconds": 0.99}


@dataclass(frozen=True)
class ScrapedMetrics:
    """What a server has counted for a model.

    Attributes:
        code_counts: requests by error code; ``ok`` for success.
        latency_buckets: cumulative numbers of requests by the upper edge of their latency, seconds
            as text.
        status_by_code: HTTP status of each code.
    """

    code_counts: dict[str, float] = field(default_factory=dict)
    latency_buckets: dict[str, float] = field(default_factory=dict)
    status_by_code: dict[str, int] = field(default_factory=dict)

    def since(self, earlier: ScrapedMetrics) -> ScrapedMetrics:
        """Return what was counted since an earlier scrape."""
        if any(
            self.code_counts.get(code, 0) < count for code, count in earlier.code_counts.items()
        ):
            return self  # restarted: its counters began at 0
        return ScrapedMetrics(
            subtract_counts(self.code_counts, earlier.code_counts),
            subtract_counts(self.latency_buckets, earlier.latency_buckets),
            self.status_by_code,
        )

    def is_error(self, code: str) -> bool:
        """Whether requests with this code count as errors."""
        status = self.status_by_code[code]
        return status >= MIN_CLIENT_ERROR_STATUS and status != CLIENT_DISCONNECTED_STATUS

    def summarize(self) -> Json:
        """Return the number of requests, error fractions, and latencies in seconds."""
        error_counts = {
            code: int(count)
            for code, count in self.code_counts.items()
            if count and self.is_error(code)
        }
        n_server_errors = sum(
            count
            for code, count in error_counts.items()
            if self.status_by_code[code] >= MIN_SERVER_ERROR_STATUS
        )
        n_client_errors = sum(error_counts.values()) - n_server_errors
        n_requests = int(sum(self.code_counts.values()))
        return {
            "requests": n_requests,
            "error_codes": error_counts,
            "server_error_fraction": n_server_errors / max(n_requests, 1),
            "client_error_fraction": n_client_errors / max(n_requests, 1),
            **{name: quantile(self.latency_buckets, q) for name, q in LATENCY_QUANTILES.items()},
        }


def subtract_counts(current: Mapping[str, float], earlier: Mapping[str, float]) -> dict[str, float]:
    """Subtract earlier counts."""
    return {name: count - earlier.get(name, 0) for name, count in current.items()}


def quantile(buckets: Mapping[str, float], level: float) -> float | None:
    """Estimate a quantile from cumulative buckets, as Prometheus's `histogram_quantile` does.

    Values are assumed to be spread evenly within a bucket. A quantile in the last bucket, which has
    no upper edge, is estimated by the lower edge.

    Args:
        buckets: cumulative counts by upper edge as text.
        level: level of the quantile, from 0 to 1.

    Returns:
        The quantile; None if there are no values.

    >>> quantile({"0.1": 50, "0.2": 100, "+Inf": 100}, 0.75)
    0.15
    """
    edges = sorted((float(edge), count) for edge, count in buckets.items())
    total = edges[-1][1] if edges else 0
    lower_edge, lower_count = 0.0, 0.0
    for upper_edge, count in edges:
        if total and count >= level * total:
            if upper_edge == float("inf"):
                return lower_edge
            position = (level * total - lower_count) / max(count - lower_count, 1)
            return round(lower_edge + (upper_edge - lower_edge) * position, 6)
        lower_edge, lower_count = upper_edge, count
    return None


def scrape_metrics(source: str, version: str) -> ScrapedMetrics:
    """Read what a server has counted for a version of a model.

    Args:
        source: URL of the server, or a file with its metrics.
        version: version of the model, as the server names it.

    Raises:
        DataError: the metrics cannot be read, or no model has this version.
    """
    text = read_metrics_text(source)
    try:
        samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]
    except ValueError as error:
        raise DataError(
            "the server's metrics cannot be read",
            detail=f"{source}: {error}"[:200],
            hint="pass the URL of a fieldcraft server, such as http://127.0.0.1:8000",
        ) from error
    # The version that is served has the value 1; after a reload the server removes the old one.
    version_by_model = {
        sample.labels["model"]: sample.labels["version"]
        for sample in samples
        if sample.name == "fieldcraft_model_info" and sample.value == 1
    }
    models = {
        model for model, model_version in version_by_model.items() if model_version == version
    }
    if not models:
        served_versions = sorted(set(version_by_model.values()))
        raise DataError(
            "the server does not serve this version of the model",
            detail=f"served: {', '.join(served_versions) or 'none'}; the bundle: {version}",
            hint="pass the URL of the server that has loaded this bundle",
        )
    code_counts: Counter[str] = Counter()
    latency_buckets: Counter[str] = Counter()
    status_by_code: dict[str, int] = {}
    for sample in samples:
        if sample.labels.get("model") not in models:
            continue
        if sample.name == "fieldcraft_requests_total":
            code_counts[sample.labels["code"]] += int(sample.value)
            status_by_code[sample.labels["code"]] = int(sample.labels["status"])
        elif sample.name == "fieldcraft_request_duration_seconds_bucket":
            latency_buckets[sample.labels["le"]] += int(sample.value)
    return ScrapedMetrics(dict(code_counts), dict(latency_buckets), status_by_code)


def read_metrics_text(source: str) -> str:
    """Read the metrics of a server as text.

    Raises:
        DataError: the server does not answer, or the file cannot be read.
    """
    try:
        if not source.startswith(("http://", "https://")):
            return Path(source).read_text(encoding="utf-8")
        url = source.rstrip("/").removesuffix("/metrics") + "/metrics"
        with urllib.request.urlopen(url, timeout=HTTP_TIMEOUT_SECONDS) as response:
            content: bytes = response.read(MAX_METRICS_BYTES)
            return content.decode()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise DataError(
            "the server's metrics cannot be fetched",
            detail=f"{source}: {type(error).__name__}: {error}"[:200],
            hint="check that the server runs, and pass its URL, such as http://127.0.0.1:8000",
        ) from error
