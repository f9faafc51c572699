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

from fieldcraft.contracts import Json
from fieldcraft.core.errors import DataError
from fieldcraft.serving.trouble import STATUS

PATIENCE = 5.0  # seconds that a server has to answer
MOST = 8 << 20  # bytes of figures that are read
FAILED = 500  # status from which on it was not the caller's fault
QUANTILES = {"median": 0.5, "p99": 0.99}


@dataclass(frozen=True)
class Vitals:
    """What a server has counted of a model.

    Attributes:
        codes: requests by what they came to, ``ok`` or a code of `STATUS`.
        seconds: requests that took at most so long, by the edge of their bucket as it is written.
    """

    codes: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def since(self, before: Vitals) -> Vitals:
        """What was counted since an earlier look."""
        if any(self.codes.get(code, 0) < count for code, count in before.codes.items()):
            return self
        return Vitals(less(self.codes, before.codes), less(self.seconds, before.seconds))

    def told(self) -> Json:
        """Requests, the shares that failed and were refused, and latencies in seconds."""
        by_status: Counter[str] = Counter()
        for code, count in self.codes.items():
            if code in STATUS:
                by_status["failed" if STATUS[code] >= FAILED else "refused"] += int(count)
        requests = int(sum(self.codes.values()))
        wrong = {code: int(n) for code, n in self.codes.items() if n and code in STATUS}
        return {
            "requests": requests, "codes": wrong,
            **{name: by_status[name] / max(requests, 1) for name in ("failed", "refused")},
            **{name: quantile(self.seconds, share) for name, share in QUANTILES.items()},
        }  # fmt: skip


def less(now: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """Counts less those before."""
    return {name: count - before.get(name, 0) for name, count in now.items()}


def quantile(buckets: Mapping[str, float], share: float) -> float | None:
    """A quantile of latencies from counts up to each edge; None if there are none.

    Within a bucket they are taken to be spread evenly; of the last one only its start is known.

    >>> quantile({"0.1": 50, "0.2": 100, "+Inf": 100}, 0.75)
    0.15
    """
    edges = sorted((float(edge), count) for edge, count in buckets.items())
    whole = edges[-1][1] if edges else 0
    low, under = 0.0, 0.0
    for high, count in edges:
        if whole and count >= share * whole:
            if high == float("inf"):
                return low
            return round(low + (high - low) * (share * whole - under) / max(count - under, 1), 6)
        low, under = high, count
    return None


def vitals_of(source: str, version: str) -> Vitals:
    """What a server has counted of a version of a model.

    Args:
        source: address of the server, or a file with its figures.
        version: of the model, as the server names it.

    Raises:
        DataError: the figures cannot be read, or no model has this version.
    """
    text = figures_in(source)
    try:
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    except ValueError as error:
        raise DataError(
            "the server's figures cannot be read",
            seen=f"{source}: {error}"[:200],
            way_out="pass the address of a server of ours, such as http://127.0.0.1:8000",
        ) from error
    versions = {
        s.labels["model"]: s.labels["version"]
        for s in samples
        if s.name == "fieldcraft_model_info" and s.value == 1
    }
    models = {model for model, found in versions.items() if found == version}
    if not models:
        raise DataError(
            "the server does not answer with this version of the model",
            seen=f"{source} has {', '.join(sorted(set(versions.values()))) or 'none'}; "
            f"the bundle is {version}",
            way_out="pass the address of the server that has loaded this bundle",
        )
    codes: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for sample in samples:
        if sample.labels.get("model") not in models:
            continue
        if sample.name == "fieldcraft_requests_total":
            codes[sample.labels["code"]] += int(sample.value)
        elif sample.name == "fieldcraft_request_seconds_bucket":
            seconds[sample.labels["le"]] += int(sample.value)
    return Vitals(dict(codes), dict(seconds))


def figures_in(source: str) -> str:
    """The figures of a server as text.

    Raises:
        DataError: nobody answers there, or the file cannot be read.
    """
    try:
        if not source.startswith(("http://", "https://")):
            return Path(source).read_text(encoding="utf-8")
        address = source.rstrip("/").removesuffix("/metrics") + "/metrics"
        with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
            found: bytes = answer.read(MOST)
            return found.decode()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise DataError(
            "the server's figures cannot be had",
            seen=f"{source}: {type(error).__name__}: {error}"[:200],
            way_out="see that the server runs, and pass its address, such as http://127.0.0.1:8000",
        ) from error
