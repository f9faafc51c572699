"""Evaluate the bundle on the sealed test set; each opening is recorded."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import polars as pl

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.core import digest, files, seeds
from fieldcraft.core.errors import SealError
from fieldcraft.core.formatting import pluralize
from fieldcraft.core.types import Json
from fieldcraft.ledger.records import MetricRecord
from fieldcraft.ledger.store import Ledger, LedgerEntry
from fieldcraft.modeling.dataset import assign_clusters, parse_target, read_weights
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.statistics.bootstrap import BootstrapPlan, percentile_interval, resample


def list_openings(project: ProjectFolder, test_digest: str | None = None) -> list[LedgerEntry]:
    """The recorded openings of the test set with a digest; of all test sets if None."""
    entries = Ledger(project.ledger_path).entries(kind="test_set_opened")
    return [entry for entry in entries if test_digest in (None, entry.body["test_digest"])]


def open_seal(project: ProjectFolder, split_folder: Path, reopen_reason: str | None) -> Json:
    """Evaluate the current bundle on the test rows and record the result.

    Raises:
        SealError: the test set was opened before and no reason is given, or there are no test rows.
    """
    split_metadata = files.read_json(split_folder / "metadata.json")
    test_digest = split_metadata["digests"]["test"]
    earlier_openings = list_openings(project, test_digest)
    if earlier_openings and not (reopen_reason and reopen_reason.strip()):
        model_id = earlier_openings[-1].body["model_id"]
        raise SealError(
            "the test set has been opened before",
            detail=f"{pluralize(len(earlier_openings), 'time')}, last "
            f"{earlier_openings[-1].created_at[:16]} for model {model_id[:12]}",
            hint="choose models on the evaluation rows; to use the test set again, give a reason: "
            'fieldcraft evaluate --final --reopen "reason"',
        )
    if not split_metadata["counts"].get("test"):
        raise SealError(
            "there are no test rows",
            detail=f"parts of the split: {split_metadata['counts']}",
            hint="set split.test above 0, or give a test file with --test",
        )
    bundle = load_bundle(project.bundle_path)
    ledger = Ledger(project.ledger_path)
    reason = reopen_reason.strip() if reopen_reason else "final evaluation"
    body = {
        "test_digest": test_digest,
        "model_id": bundle.model_id,
        "reason": reason,
        "opening_number": len(earlier_openings) + 1,
    }
    # Recorded before the rows are read: a crash after this line leaves an opening without a result,
    # never a result without an opening.
    ledger.append([("test_set_opened", "evaluate", test_digest, body)])
    metric_records = measure_test_set(
        project, bundle, split_folder, digest.of_json([test_digest, "test"])
    )
    titles = {metric.name: metric.title for metric in bundle.task.metrics}
    result = {
        **body,
        "rows": metric_records[0].n_rows,
        "metrics": [
            {**metric_record.to_json(), "title": titles[metric_record.metric]}
            for metric_record in metric_records
        ],
    }
    records = [
        ("metric", "evaluate", test_digest, metric_record.to_json())
        for metric_record in metric_records
    ]
    ledger.append([*records, ("final_evaluation", "evaluate", test_digest, result)])
    return result


def measure_test_set(
    project: ProjectFolder, bundle: Bundle, split_folder: Path, data_digest: str
) -> list[MetricRecord]:
    """All metrics of the bundle on the test rows, with their intervals."""
    settings = project.load_settings()
    rows = pl.read_parquet(split_folder / "sealed" / "test.parquet")
    y = bundle.task.encode(parse_target(rows, settings), bundle.target_spec)
    predictions = bundle.predict_raw(rows)
    seed = seeds.derive_seed(settings.train.seed, "bootstrap")
    bootstrap_plan = BootstrapPlan(
        len(y), seed, assign_clusters(rows, settings), read_weights(rows, settings)
    )
    metrics = bundle.task.metrics
    bootstrap_metrics = resample(
        {metric.name: partial(metric.compute, y, predictions) for metric in metrics}, bootstrap_plan
    )
    metric_records = []
    for metric in metrics:
        estimate = percentile_interval(
            bootstrap_metrics[metric.name], bias_corrected=metric.is_biased_upwards
        )
        value, low, high = (
            bound if bound == bound else None  # JSON has no NaN
            for bound in (estimate.value, estimate.low, estimate.high)
        )
        metric_records.append(
            MetricRecord(
                metric.name, "test", bundle.manifest["model"], value, low, high, estimate.level,
                len(y), data_digest, bundle.model_id,
            )
        )  # fmt: skip
    return metric_records
