"""Join what was true to what was said: each prediction once, whatever labels come."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from fieldcraft.bundle.runtime import Bundle
from fieldcraft.core.errors import DataError, did_you_mean
from fieldcraft.core.formatting import truncated_list
from fieldcraft.core.types import Json
from fieldcraft.data.schema import Column
from fieldcraft.monitoring.windows import list_parts
from fieldcraft.serving.prediction_log import OUTPUT_PREFIX
from fieldcraft.statistics.groups import assign_groups
from fieldcraft.statistics.performance import bounded_losses

REQUEST_COLUMN, ROW_COLUMN = "request", "row"
LABEL_COLUMN = "label"
GROUP_PREFIX = "(group) "  # before the names of columns that came with labels
FEEDBACK_SCHEMA: dict[str, Any] = {
    "request": pl.String, "row": pl.Int64, "label": pl.String, "loss": pl.Float64,
    "right": pl.Boolean, "time": pl.Datetime("us", "UTC"), "model": pl.String,
    "groups": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class JoinedLabels:
    """Predictions whose truth is known, in the order in which it came to be known.

    Attributes:
        rows: with ``request``, ``row``, ``label``, ``loss``, ``right``, ``time``, ``model``, and
            ``groups`` as JSON: the group of each column that the project names.
        counts: of labels: ``new_labels``, ``known`` before, ``twice``, ``contradictory``,
            ``unknown`` (of no prediction), ``unread``; and ``predictions``, of this model in the
            log.
    """

    rows: pl.DataFrame
    counts: Json


def join_labels(
    label_table: pl.DataFrame, log: Path, bundle: Bundle, earlier: pl.DataFrame
) -> JoinedLabels:
    """Join labels to the predictions of a log.

    The first label of a prediction stays; one that says something else is counted and left out. So
    are labels of no prediction: they can be given again when the log has it. Labels that contradict
    each other in one table are all left out.

    Args:
        label_table: labels with ``request``, ``row`` (0 if left out) and the target or ``label``.
        log: folder of the prediction log.
        bundle: whose predictions they are.
        earlier: what was joined earlier.

    Raises:
        DataError: a column is missing, or the model is of many labels.
    """
    labels = parse_labels(label_table, bundle)
    counts: Json = {"unread": label_table.height - labels.height}
    distinct_labels = labels.unique(maintain_order=True)
    counts["twice"] = labels.height - distinct_labels.height
    keys = [REQUEST_COLUMN, ROW_COLUMN]
    consistent = distinct_labels.filter(pl.len().over(keys) == 1)
    counts["contradictory"] = distinct_labels.height - consistent.height
    already_joined = consistent.join(
        earlier.select(*keys, pl.col(LABEL_COLUMN).alias("said")), on=keys, how="inner"
    )
    n_changed = int((already_joined[LABEL_COLUMN] != already_joined["said"]).sum())
    counts["contradictory"] += n_changed
    counts["known"] = already_joined.height - n_changed
    new_labels = consistent.join(earlier, on=keys, how="anti")
    joined, n_predictions = join_predictions(new_labels, log, bundle)
    counts |= {"new_labels": joined.height, "unknown": new_labels.height - joined.height}
    counts["predictions"] = n_predictions
    return JoinedLabels(pl.concat([earlier, joined.select(earlier.columns)]), counts)


def parse_labels(label_table: pl.DataFrame, bundle: Bundle) -> pl.DataFrame:
    """Keys and labels as text, those left out that cannot be read.

    Raises:
        DataError: a column is missing, or the model is of many labels.
    """
    targets: Sequence[str] = bundle.manifest["targets"]
    if len(targets) != 1:
        raise DataError(
            "labels of models of several targets cannot be joined yet",
            detail=truncated_list(list(targets)),
            hint="compare them outside: the prediction log is made of Parquet files",
        )
    label_column = next(
        (name for name in (targets[0], LABEL_COLUMN) if name in label_table.columns), None
    )
    missing = [name for name, is_present in ((REQUEST_COLUMN, REQUEST_COLUMN in label_table.columns), (targets[0], label_column))
               if not is_present]  # fmt: skip
    if missing:
        raise DataError(
            f"the labels have no column {missing[0]!r}",
            detail=truncated_list(label_table.columns),
            hint=f"{did_you_mean(missing[0], label_table.columns)} Labels need {REQUEST_COLUMN!r}, as in the answers "
            f"of the server, and {targets[0]!r}; also {ROW_COLUMN!r} where requests have several rows",
        )
    row = (
        pl.col(ROW_COLUMN).cast(pl.Int64, strict=False)
        if ROW_COLUMN in label_table.columns
        else pl.lit(0, pl.Int64)
    )
    groups = get_group_columns(bundle)
    labels = label_table.select(
        pl.col(REQUEST_COLUMN).cast(pl.String), row.alias(ROW_COLUMN),
        bundle.schema.normalize_missing(label_table[str(label_column)]).cast(pl.String).alias(LABEL_COLUMN),
        *(bundle.schema.parse(label_table[name], column).alias(GROUP_PREFIX + name)
          for name, column in groups.items() if name in label_table.columns),
    )  # fmt: skip
    classes = bundle.target_spec.get("classes")
    without_dot = pl.col(LABEL_COLUMN).str.strip_suffix(
        "."
    )  # as the Adult data writes the labels of its test
    if classes:
        is_dotted = without_dot.is_in(classes) & ~pl.col(LABEL_COLUMN).is_in(classes)
        normalized = pl.when(is_dotted).then(without_dot).otherwise(pl.col(LABEL_COLUMN))
        is_valid = normalized.is_in(classes)
    else:
        number = pl.col(LABEL_COLUMN).cast(pl.Float64, strict=False)
        normalized, is_valid = number.cast(pl.String), number.is_finite()
    is_present = pl.col(REQUEST_COLUMN).is_not_null() & pl.col(ROW_COLUMN).is_not_null()
    return labels.filter(is_valid.fill_null(False) & is_present).with_columns(
        normalized.alias(LABEL_COLUMN)
    )


def get_group_columns(bundle: Bundle) -> dict[str, Column]:
    """The columns by whose groups performance is told apart."""
    group_profiles = bundle.manifest["performance"].get("groups", {})
    return {
        name: Column(name, group_profile["column"]["kind"], group_profile["column"]["options"])
        for name, group_profile in group_profiles.items()
    }


def encode_groups(rows: pl.DataFrame, bundle: Bundle) -> pl.Series:
    """The groups of labelled rows as JSON: by what came with the labels, else by the log."""
    group_profiles = bundle.manifest["performance"].get("groups", {})
    groups_by_column: dict[str, pl.Series] = {}
    for name, group_profile in group_profiles.items():
        source_column = next(
            (column for column in (GROUP_PREFIX + name, name) if column in rows.columns), None
        )
        if source_column is not None:
            groups_by_column[name] = assign_groups(rows[source_column], group_profile["edges"])
    json_texts = [
        json.dumps(dict(zip(groups_by_column, row, strict=True)))
        for row in zip(*groups_by_column.values(), strict=True)
    ]  # fmt: skip
    return pl.Series(
        "groups", json_texts if groups_by_column else [None] * rows.height, dtype=pl.String
    )


def join_predictions(labels: pl.DataFrame, log: Path, bundle: Bundle) -> tuple[pl.DataFrame, int]:
    """Labels with the predictions that they are of, and how many of this model the log has."""
    joined_parts, n_predictions = [pl.DataFrame(schema=FEEDBACK_SCHEMA)], 0
    for part in list_parts(log):
        table = pl.read_parquet(part).filter(pl.col("model") == bundle.model_id)
        n_predictions += table.height
        labelled = table.join(labels, on=[REQUEST_COLUMN, ROW_COLUMN], how="inner").unique(
            [REQUEST_COLUMN, ROW_COLUMN]
        )
        if labelled.height:
            joined_parts.append(
                compute_losses(labelled.sort("time", REQUEST_COLUMN, ROW_COLUMN), bundle)
            )
    return pl.concat(joined_parts).unique(
        [REQUEST_COLUMN, ROW_COLUMN], keep="first", maintain_order=True
    ), n_predictions


def compute_losses(rows: pl.DataFrame, bundle: Bundle) -> pl.DataFrame:
    """The loss of predictions whose label is known."""
    outputs = rows.select(
        pl.col(name).alias(name.removeprefix(OUTPUT_PREFIX))
        for name in rows.columns
        if name.startswith(OUTPUT_PREFIX)
    )
    target = (
        rows[LABEL_COLUMN]
        if "classes" in bundle.target_spec
        else rows[LABEL_COLUMN].cast(pl.Float64)
    )
    y = bundle.task.encode(target, bundle.target_spec)
    loss_unit = bundle.manifest["performance"]["unit"]
    is_correct = outputs["prediction"].cast(pl.String) == rows[LABEL_COLUMN]
    return rows.with_columns(
        encode_groups(rows, bundle),
        pl.Series("loss", bounded_losses(outputs, y, loss_unit), dtype=pl.Float64),
        (is_correct if "classes" in bundle.target_spec else pl.lit(None, pl.Boolean)).alias(
            "right"
        ),
    ).select(list(FEEDBACK_SCHEMA))
