"""Tell how good predictions were, from labels that came later."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import polars as pl

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.contracts import Stage
from fieldcraft.core import files
from fieldcraft.core.errors import BundleError, DataError
from fieldcraft.core.types import Json
from fieldcraft.data.read import read_table
from fieldcraft.monitoring import alerts
from fieldcraft.monitoring.feedback import FEEDBACK_SCHEMA, join_labels
from fieldcraft.monitoring.windows import find_prediction_log, lock_monitoring_folder
from fieldcraft.project.settings import MonitorSettings
from fieldcraft.statistics.performance import MIN_LABELED_ROWS, detect_degradation


@dataclass(frozen=True)
class FeedbackRequest:
    """Labels, and the predictions that they are of.

    Attributes:
        bundle: which made the predictions.
        labels: a table of them: see `read_table`.
        log: folder of the prediction log.
        out: folder for ``labels.parquet`` and ``performance.json``, that of the watch.
        alert_settings: whom an alert is told.
    """

    bundle: Path
    labels: str
    log: str
    out: Path
    alert_settings: MonitorSettings = field(default_factory=MonitorSettings)


def feedback(request: FeedbackRequest) -> Json:
    """Join labels to predictions, once each, and tell whether the loss is higher than it was.

    Raises:
        BundleError: the bundle cannot be trusted, or does not know its loss.
        DataError: the labels or the log cannot be read, or a watch is at work.
    """
    bundle = load_bundle(request.bundle)
    if not bundle.manifest.get("performance"):
        raise BundleError(
            "the bundle does not say how good it was",
            detail=bundle.model_id[:16],
            hint="package the project again: fieldcraft run; models of many labels cannot yet",
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
    """Join, keep, measure and tell."""
    feedback_path, performance_path = (
        request.out / "labels.parquet",
        request.out / "performance.json",
    )
    earlier_rows = pl.DataFrame(schema=FEEDBACK_SCHEMA)
    if feedback_path.exists():  # an older one may lack columns
        earlier_rows = pl.concat([earlier_rows, pl.read_parquet(feedback_path)], how="diagonal")
    labels = read_table(request.labels).frame
    matched = join_labels(labels, log, bundle, earlier_rows)
    write_feedback(matched.rows, feedback_path)
    model_rows = matched.rows.filter(pl.col("model") == bundle.model_id)
    status = detect_degradation(model_rows["loss"].to_numpy(), bundle.manifest["performance"])
    previous_result = files.read_json(performance_path) if performance_path.exists() else {}
    pending_alerts = list(previous_result.get("waiting", []))
    is_same_alarm = (
        previous_result.get("model_id") == bundle.model_id
        and previous_result.get("since") == status.alarm_start_row
    )
    is_new_alarm = status.has_alarm and not (is_same_alarm and previous_result.get("alarmed"))
    groups = evaluate_groups(model_rows, bundle)
    active_groups = {(group["column"], group["group"], group["since"]) for group in previous_result.get("groups", [])
             if group["alarmed"] and previous_result.get("model_id") == bundle.model_id}  # fmt: skip
    new_alerts = (
        [build_alert("", status.mean_loss or 0.0, status.loss_threshold, bundle, model_rows.height)]
        if is_new_alarm
        else []
    )
    new_alerts += [
        build_alert(
            f"{group['column']}: {group['group']}",
            group["loss"],
            group["allowed"],
            bundle,
            group["rows"],
        )
        for group in groups
        if group["alarmed"]
        and (group["column"], group["group"], group["since"]) not in active_groups
    ]
    channels = list(alerts.build_channels(request.alert_settings))
    pending_alerts += [{"alert": group, "ways": channels} for group in new_alerts]
    undelivered, failed = alerts.deliver_alerts(
        [item for item in pending_alerts if item["ways"]], request.alert_settings
    )
    result = {
        "model_id": bundle.model_id, "reference": bundle.manifest["performance"]["loss"],
        "right": model_rows["right"].mean(),
        "coverage": model_rows.height / max(matched.counts["predictions"], 1),
        "enough": model_rows.height >= MIN_LABELED_ROWS, "new": bool(new_alerts), "failed": failed, "groups": groups,
        **matched.counts, **asdict(status),
    }  # fmt: skip
    files.atomic_write_json(performance_path, {**result, "waiting": undelivered})
    return result


def write_feedback(rows: pl.DataFrame, path: Path) -> None:
    """Write joined labels, whole or not at all."""
    temp_path = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        rows.write_parquet(temp_path)
        temp_path.replace(path)
    finally:
        temp_path.unlink(missing_ok=True)


def evaluate_groups(model_rows: pl.DataFrame, bundle: Bundle) -> list[Json]:
    """How each group fares that the model was judged on and that has enough labels."""
    reference_groups = bundle.manifest["performance"].get("groups", {})
    n_streams = sum(len(reference_group["groups"]) for reference_group in reference_groups.values())
    group_values = model_rows["groups"].fill_null("{}").str.json_decode(
        pl.Struct(dict.fromkeys(reference_groups, pl.String))
    ) if reference_groups else None  # fmt: skip
    results = []
    for name, reference_group in reference_groups.items():
        assert group_values is not None
        groups = group_values.struct.field(name)
        for group, reference in reference_group["groups"].items():
            losses = model_rows.filter((groups == group).fill_null(False))["loss"].to_numpy()
            if len(losses) >= MIN_LABELED_ROWS:
                status = detect_degradation(losses, reference, n_streams=n_streams)
                entry = {"column": name, "group": group, "reference": reference["loss"]}
                results.append({**entry, **asdict(status)})
    return results


def build_alert(group: str, loss: float, loss_threshold: float, bundle: Bundle, rows: int) -> Json:
    """The alert of predictions that have become worse, of all rows or of a group."""
    group_text = f" for {group}" if group else ""
    return {
        "id": f"performance|{group}|loss", "kind": "performance", "column": "", "what": "loss",
        "model": bundle.model_id, "rows": rows,
        "text": f"predictions have become worse{group_text}: loss {loss:.4f} over {rows:,} labels, "
        f"lately higher than the {loss_threshold:.4f} that would be no harm",
    }  # fmt: skip


STAGE = Stage("labels", "Tell how good predictions were, once labels are there.", feedback)  # type: ignore[arg-type]
