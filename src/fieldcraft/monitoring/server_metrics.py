"""How a server fares: requests, errors and latency since the last look, from its own figures.

They are read as Prometheus reads them, from the server's address or a file. Counters that have
fallen are those of a server that was started anew; all that they say has come since.
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
from fieldcraft.serving.errors import STATUS_BY_CODE

HTTP_TIMEOUT_SECONDS = 5.0  # seconds that a server has to answer
MAX_METRICS_BYTES = 8 << 20  # bytes of figures that are read
MIN_SERVER_ERROR_STATUS = 500  # status from which on it was not the caller's fault
LATENCY_QUANTILES = {"median": 0.5, "p99": 0.99}


@dataclass(frozen=True)
class ScrapedMetrics:
    """What a server has counted of a model.

    Attributes:
        code_counts: requests by what they came to, ``ok`` or a code of `STATUS`.
        latency_buckets: requests that took at most so long, by the edge of their bucket as it is written.
    """

    code_counts: dict[str, float] = field(default_factory=dict)
    latency_buckets: dict[str, float] = field(default_factory=dict)

    def since(self, earlier: ScrapedMetrics) -> ScrapedMetrics:
        """What was counted since an earlier look."""
        if any(
            self.code_counts.get(code, 0) < count for code, count in earlier.code_counts.items()
        ):
            return self
        return ScrapedMetrics(
            subtract_counts(self.code_counts, earlier.code_counts),
            subtract_counts(self.latency_buckets, earlier.latency_buckets),
        )

    def summarize(self) -> Json:
        """Requests, the shares that failed and were refused, and latencies in seconds."""
        counts_by_outcome: Counter[str] = Counter()
        for code, count in self.code_counts.items():
            if code in STATUS_BY_CODE:
                counts_by_outcome[
                    "failed" if STATUS_BY_CODE[code] >= MIN_SERVER_ERROR_STATUS else "refused"
                ] += int(count)
        n_requests = int(sum(self.code_counts.values()))
        error_counts = {
            code: int(code_count)
            for code, code_count in self.code_counts.items()
            if code_count and code in STATUS_BY_CODE
        }
        return {
            "requests": n_requests, "codes": error_counts,
            **{name: counts_by_outcome[name] / max(n_requests, 1) for name in ("failed", "refused")},
            **{name: quantile(self.latency_buckets, quantile_level) for name, quantile_level in LATENCY_QUANTILES.items()},
        }  # fmt: skip


def subtract_counts(current: Mapping[str, float], earlier: Mapping[str, float]) -> dict[str, float]:
    """Counts less those before."""
    return {name: count - earlier.get(name, 0) for name, count in current.items()}


def quantile(buckets: Mapping[str, float], level: float) -> float | None:
    """A quantile of latencies from counts up to each edge; None if there are none.

    Within a bucket they are taken to be spread evenly; of the last one only its start is known.

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
            return round(
                lower_edge
                + (upper_edge - lower_edge)
                * (level * total - lower_count)
                / max(count - lower_count, 1),
                6,
            )
        lower_edge, lower_count = upper_edge, count
    return None


def scrape_metrics(source: str, version: str) -> ScrapedMetrics:
    """What a server has counted of a version of a model.

    Args:
        source: address of the server, or a file with its figures.
        version: of the model, as the server names it.

    Raises:
        DataError: the figures cannot be read, or no model has this version.
    """
    text = read_metrics_text(source)
    try:
        samples = [
            metric_sample
            for family in text_string_to_metric_families(text)
            for metric_sample in family.samples
        ]
    except ValueError as error:
        raise DataError(
            "the server's figures cannot be read",
            detail=f"{source}: {error}"[:200],
            hint="pass the address of a server of ours, such as http://127.0.0.1:8000",
        ) from error
    versions = {
        metric_sample.labels["model"]: metric_sample.labels["version"]
        for metric_sample in samples
        if metric_sample.name == "fieldcraft_model_info" and metric_sample.value == 1
    }
    models = {model for model, found_version in versions.items() if found_version == version}
    if not models:
        raise DataError(
            "the server does not answer with this version of the model",
            detail=f"{source} has {', '.join(sorted(set(versions.values()))) or 'none'}; "
            f"the bundle is {version}",
            hint="pass the address of the server that has loaded this bundle",
        )
    code_counts: Counter[str] = Counter()
    latency_buckets: Counter[str] = Counter()
    for sample in samples:
        if sample.labels.get("model") not in models:
            continue
        if sample.name == "fieldcraft_requests_total":
            code_counts[sample.labels["code"]] += int(sample.value)
        elif sample.name == "fieldcraft_request_seconds_bucket":
            latency_buckets[sample.labels["le"]] += int(sample.value)
    return ScrapedMetrics(dict(code_counts), dict(latency_buckets))


def read_metrics_text(source: str) -> str:
    """The figures of a server as text.

    Raises:
        DataError: nobody answers there, or the file cannot be read.
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
            "the server's figures cannot be had",
            detail=f"{source}: {type(error).__name__}: {error}"[:200],
            hint="see that the server runs, and pass its address, such as http://127.0.0.1:8000",
        ) from error
