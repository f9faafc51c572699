"""Measure the performance of a deployed model with labels that arrive later."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.contracts import Stage
from fieldcraft.core import files
from fieldcraft.core.errors import BundleError, DataError
from fieldcraft.core.types import Json
from fieldcraft.data.prediction_log import MODEL_ID_COLUMN
from fieldcraft.data.read import read_table
from fieldcraft.monitoring import alerts
from fieldcraft.monitoring.feedback import FEEDBACK_SCHEMA, join_labels
from fieldcraft.monitoring.windows import find_prediction_log, lock_monitoring_folder
from fieldcraft.project.settings import MonitorSettings
from fieldcraft.statistics.performance import (
    MIN_LABELED_ROWS,
    PerformanceStatus,
    detect_degradation,
)


@dataclass(frozen=True)
class FeedbackRequest:
    """Labels, and the predictions that they belong to.

    Attributes:
        bundle: path of the bundle that made the predictions.
        labels: table of labels: see `read_table`.
        log: folder of the prediction log.
        out: folder for ``feedback.parquet`` and ``performance.json``, the same as for `monitor`.
        alert_settings: alert channels.
    """

    bundle: Path
    labels: str
    log: str
    out: Path
    alert_settings: MonitorSettings = field(default_factory=MonitorSettings)


def feedback(request: FeedbackRequest) -> Json:
    """Join labels to predictions, and test whether the loss is higher than the reference.

    Raises:
        BundleError: the bundle cannot be trusted, or has no reference loss.
        DataError: the labels or the log cannot be read, or the folder is in use.
    """
    bundle = load_bundle(request.bundle)
    if not bundle.manifest.get("reference_loss"):
        raise BundleError(
            "the bundle has no reference loss",
            detail=bundle.model_id[:16],
            hint="package the project again: fieldcraft run; multilabel models have none yet",
        )
    log = find_prediction_log(request.log, bundle.model_id)
    if log is None:
        raise DataError(
            "there is no prediction log of this model",
            detail=request.log,
            hint="pass the folder that `fieldcraft serve --log` writes to",
        )
    with lock_monitoring_folder(request.out):
        return process_feedback(request, bundle, log)


def process_feedback(request: FeedbackRequest, bundle: Bundle, log: Path) -> Json:
    """Join labels, save them, measure performance, and send alerts."""
    feedback_path = request.out / "feedback.parquet"
    performance_path = request.out / "performance.json"
    earlier_rows = pl.DataFrame(schema=FEEDBACK_SCHEMA)
    if feedback_path.exists():  # a file of an earlier release may lack columns
        earlier_rows = pl.concat([earlier_rows, pl.read_parquet(feedback_path)], how="diagonal")
    matched = join_labels(read_table(request.labels).frame, log, bundle, earlier_rows)
    # The rows are saved before the result. After a crash in between, the next run finds the labels
    # but no result, so it raises the alert.
    write_feedback(matched.rows, feedback_path)
    model_rows = matched.rows.filter(pl.col(MODEL_ID_COLUMN) == bundle.model_id)
    reference = bundle.manifest["reference_loss"]
    status = describe_status(detect_degradation(model_rows["loss"].to_numpy(), reference))
    groups = evaluate_groups(model_rows, bundle)
    previous_result = files.read_json(performance_path) if performance_path.exists() else {}
    new_alerts = build_new_alerts(status, groups, previous_result, bundle)
    pending_alerts = list(previous_result.get("pending_alerts", []))
    channels = list(alerts.build_channels(request.alert_settings))
    pending_alerts += [{"alert": alert, "channels": channels} for alert in new_alerts]
    # Sent before the result is saved: after a crash in between they are sent twice, never lost.
    undelivered, failed_channels = alerts.deliver_alerts(
        [item for item in pending_alerts if item["channels"]], request.alert_settings
    )
    result = {
        "model_id": bundle.model_id,
        "reference_loss": reference["loss"],
        "accuracy": model_rows["is_correct"].mean(),
        "labeled_fraction": model_rows.height / max(matched.counts["predictions"], 1),
        "has_enough_labels": model_rows.height >= MIN_LABELED_ROWS,
        "is_new_alert": bool(new_alerts),
        "failed_channels": failed_channels,
        "groups": groups,
        **matched.counts,
        **status,
    }
    files.atomic_write_json(performance_path, {**result, "pending_alerts": undelivered})
    return result


def write_feedback(rows: pl.DataFrame, path: Path) -> None:
    """Write labeled predictions atomically."""
    temp_path = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        rows.write_parquet(temp_path)
        # Synced to disk before it replaces the old file: labels cannot be fetched again.
        files.publish_file(temp_path, path)
    finally:
        temp_path.unlink(missing_ok=True)


def describe_status(status: PerformanceStatus) -> Json:
    """Return the status of a test as JSON."""
    return {
        "rows": status.n_rows,
        "loss": status.mean_loss,
        "low": status.low,
        "high": status.high,
        "loss_threshold": status.loss_threshold,
        "log_e_value": status.log_e_value,
        "alarm_threshold": status.alarm_threshold,
        "is_degraded": status.is_degraded,
        "alarm_since_row": status.alarm_since_row,
    }


def evaluate_groups(model_rows: pl.DataFrame, bundle: Bundle) -> list[Json]:
    """Test the performance of each reference group that has enough labels."""
    reference_groups = bundle.manifest["reference_loss"].get("groups", {})
    if not reference_groups:
        return []
    # The threshold accounts for all groups, including those without labels yet: a threshold that
    # depends on the labels would not bound the rate of false alarms.
    n_streams = sum(len(reference_group["groups"]) for reference_group in reference_groups.values())
    group_values = (
        model_rows["groups"]
        .fill_null("{}")
        .str.json_decode(pl.Struct(dict.fromkeys(reference_groups, pl.String)))
    )
    results = []
    for name, reference_group in reference_groups.items():
        groups = group_values.struct.field(name)
        for group, reference in reference_group["groups"].items():
            losses = model_rows.filter((groups == group).fill_null(False))["loss"].to_numpy()
            if len(losses) >= MIN_LABELED_ROWS:
                status = detect_degradation(losses, reference, n_streams=n_streams)
                entry = {"column": name, "group": group, "reference_loss": reference["loss"]}
                results.append({**entry, **describe_status(status)})
    return results


def build_new_alerts(
    status: Json, groups: list[Json], previous_result: Json, bundle: Bundle
) -> list[Json]:
    """Return alerts for the degradations that are new since the previous run.

    A degradation that began at the same row is the same one, extended by later labels.
    """
    is_same_model = previous_result.get("model_id") == bundle.model_id
    known = set()
    if is_same_model:
        previous_groups = previous_result.get("groups", [])
        known = {
            degradation_key(entry)
            for entry in (previous_result, *previous_groups)
            if entry.get("is_degraded")
        }
    return [
        build_alert(entry, bundle)
        for entry in (status, *groups)
        if entry["is_degraded"] and degradation_key(entry) not in known
    ]


def degradation_key(entry: Json) -> tuple[str | None, str | None, int | None]:
    """Return the identity of a degradation: column and group, if any, and its first row."""
    return entry.get("column"), entry.get("group"), entry["alarm_since_row"]


def build_alert(entry: Json, bundle: Bundle) -> Json:
    """Build the alert of a degradation of all rows or of a group."""
    group = f"{entry['column']}: {entry['group']}" if "group" in entry else ""
    return {
        "id": f"performance|{group}|loss",
        "type": "performance",
        "column": "",
        "statistic": "loss",
        "model_id": bundle.model_id,
        "rows": entry["rows"],
        "message": f"performance degraded{f' for {group}' if group else ''}: loss "
        f"{entry['loss']:.4f} over {entry['rows']:,} labels exceeds the threshold "
        f"{entry['loss_threshold']:.4f}",
    }


STAGE = Stage("feedback", "Measure performance once labels arrive.", feedback)  # type: ignore[arg-type]
