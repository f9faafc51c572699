"""Join labels to logged predictions; each prediction gets at most one label."""

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
from fieldcraft.data.prediction_log import (
    INPUT_PREFIX,
    MODEL_ID_COLUMN,
    REQUEST_ID_COLUMN,
    ROW_COLUMN,
    TIME_COLUMN,
    list_parts,
    select_outputs,
)
from fieldcraft.data.schema import Column
from fieldcraft.statistics.groups import assign_groups
from fieldcraft.statistics.performance import bounded_losses

LABEL_COLUMN = "label"
KEY_COLUMNS = [REQUEST_ID_COLUMN, ROW_COLUMN]
GROUP_PREFIX = "group."  # of group columns that are submitted with the labels
FEEDBACK_SCHEMA: dict[str, Any] = {
    REQUEST_ID_COLUMN: pl.String,
    ROW_COLUMN: pl.Int64,
    LABEL_COLUMN: pl.String,
    "loss": pl.Float64,
    "is_correct": pl.Boolean,
    TIME_COLUMN: pl.Datetime("us", "UTC"),
    MODEL_ID_COLUMN: pl.String,
    "groups": pl.String,
}


@dataclass(frozen=True)
class JoinedLabels:
    """Labeled predictions, in the order in which the labels arrived.

    Attributes:
        rows: table with the columns of `FEEDBACK_SCHEMA`; ``groups`` is a JSON object with the
            group of the row by each group column of the project.
        counts: numbers of labels: ``new_labels``, ``already_known``, ``duplicates``,
            ``contradictory``, ``unmatched`` (without a prediction in the log), ``unparseable``;
            and ``predictions``, the number of logged predictions of this model.
    """

    rows: pl.DataFrame
    counts: Json


def join_labels(
    label_table: pl.DataFrame, log: Path, bundle: Bundle, earlier: pl.DataFrame
) -> JoinedLabels:
    """Join labels to the predictions of a log.

    The first label of a prediction is final; a different one that comes later is counted and
    ignored. Labels without a prediction are ignored too, and can be submitted again once the
    prediction is in the log. Labels that contradict each other within one table are all ignored.

    Args:
        label_table: labels with ``request_id``, ``row`` (default 0) and the target or ``label``.
        log: folder of the prediction log.
        bundle: bundle of the model.
        earlier: labeled predictions of earlier runs, with the columns of `FEEDBACK_SCHEMA`.

    Raises:
        DataError: a column is missing, or the model has several targets.
    """
    labels = parse_labels(label_table, bundle)
    counts: Json = {"unparseable": label_table.height - labels.height}
    distinct_labels = labels.unique(maintain_order=True)
    counts["duplicates"] = labels.height - distinct_labels.height
    consistent = distinct_labels.filter(pl.len().over(KEY_COLUMNS) == 1)
    counts["contradictory"] = distinct_labels.height - consistent.height
    already_joined = consistent.join(
        earlier.select(*KEY_COLUMNS, pl.col(LABEL_COLUMN).alias("earlier_label")),
        on=KEY_COLUMNS,
        how="inner",
    )
    n_changed = int((already_joined[LABEL_COLUMN] != already_joined["earlier_label"]).sum())
    counts["contradictory"] += n_changed
    counts["already_known"] = already_joined.height - n_changed
    new_labels = consistent.join(earlier, on=KEY_COLUMNS, how="anti")
    joined, n_predictions = join_predictions(new_labels, log, bundle)
    counts |= {"new_labels": joined.height, "unmatched": new_labels.height - joined.height}
    counts["predictions"] = n_predictions
    return JoinedLabels(pl.concat([earlier, joined.select(earlier.columns)]), counts)


def parse_labels(label_table: pl.DataFrame, bundle: Bundle) -> pl.DataFrame:
    """Return keys, labels as text, and groups; rows that cannot be parsed are left out.

    Raises:
        DataError: a column is missing, or the model has several targets.
    """
    targets: Sequence[str] = bundle.manifest["targets"]
    if len(targets) != 1:
        raise DataError(
            "labels of models with several targets cannot be joined",
            detail=truncated_list(list(targets)),
            hint="join them yourself: the prediction log consists of Parquet files",
        )
    label_column = next(
        (name for name in (targets[0], LABEL_COLUMN) if name in label_table.columns), None
    )
    missing = [] if REQUEST_ID_COLUMN in label_table.columns else [REQUEST_ID_COLUMN]
    missing += [] if label_column else [targets[0]]
    if missing:
        raise DataError(
            f"the labels have no column {missing[0]!r}",
            detail=truncated_list(label_table.columns),
            hint=f"{did_you_mean(missing[0], label_table.columns)} Labels need "
            f"{REQUEST_ID_COLUMN!r}, as in the answers of the server, and {targets[0]!r}; also "
            f"{ROW_COLUMN!r} if requests have several rows",
        )
    row = (
        pl.col(ROW_COLUMN).cast(pl.Int64, strict=False)
        if ROW_COLUMN in label_table.columns
        else pl.lit(0, pl.Int64)
    )
    groups = get_group_columns(bundle)
    labels = label_table.select(
        pl.col(REQUEST_ID_COLUMN).cast(pl.String), row.alias(ROW_COLUMN),
        bundle.schema.normalize_missing(label_table[str(label_column)]).cast(pl.String).alias(LABEL_COLUMN),
        *(bundle.schema.parse(label_table[name], column).alias(GROUP_PREFIX + name)
          for name, column in groups.items() if name in label_table.columns),
    )  # fmt: skip
    classes = bundle.target_spec.get("classes")
    if classes:
        # The test file of the Adult data set, for one, ends each label with a period.
        without_dot = pl.col(LABEL_COLUMN).str.strip_suffix(".")
        is_dotted = without_dot.is_in(classes) & ~pl.col(LABEL_COLUMN).is_in(classes)
        normalized = pl.when(is_dotted).then(without_dot).otherwise(pl.col(LABEL_COLUMN))
        is_valid = normalized.is_in(classes)
    else:
        number = pl.col(LABEL_COLUMN).cast(pl.Float64, strict=False)
        normalized, is_valid = number.cast(pl.String), number.is_finite()
    is_present = pl.col(REQUEST_ID_COLUMN).is_not_null() & pl.col(ROW_COLUMN).is_not_null()
    return labels.filter(is_valid.fill_null(False) & is_present).with_columns(
        normalized.alias(LABEL_COLUMN)
    )


def get_group_columns(bundle: Bundle) -> dict[str, Column]:
    """Return the columns that define the groups of performance monitoring."""
    group_profiles = bundle.manifest["reference_loss"].get("groups", {})
    return {
        name: Column(name, group_profile["column"]["kind"], group_profile["column"]["options"])
        for name, group_profile in group_profiles.items()
    }


def encode_groups(rows: pl.DataFrame, bundle: Bundle) -> pl.Series:
    """Return the groups of labeled rows as JSON, from columns of the labels, else of the log."""
    group_profiles = bundle.manifest["reference_loss"].get("groups", {})
    groups_by_column: dict[str, pl.Series] = {}
    for name, group_profile in group_profiles.items():
        source_column = next(
            (
                column
                for column in (GROUP_PREFIX + name, INPUT_PREFIX + name)
                if column in rows.columns
            ),
            None,
        )
        if source_column is not None:
            groups_by_column[name] = assign_groups(rows[source_column], group_profile["bin_edges"])
    json_texts = [
        json.dumps(dict(zip(groups_by_column, row, strict=True)))
        for row in zip(*groups_by_column.values(), strict=True)
    ]  # fmt: skip
    return pl.Series(
        "groups", json_texts if groups_by_column else [None] * rows.height, dtype=pl.String
    )


def join_predictions(labels: pl.DataFrame, log: Path, bundle: Bundle) -> tuple[pl.DataFrame, int]:
    """Return labeled predictions, and the number of predictions of this model in the log."""
    joined_parts, n_predictions = [pl.DataFrame(schema=FEEDBACK_SCHEMA)], 0
    for part in list_parts(log):
        table = pl.read_parquet(part).filter(pl.col(MODEL_ID_COLUMN) == bundle.model_id)
        n_predictions += table.height
        # A client that retries a request sends its id again: the first prediction counts, within a
        # part as well as over all parts.
        labeled = table.join(labels, on=KEY_COLUMNS, how="inner", maintain_order="left").unique(
            KEY_COLUMNS, keep="first", maintain_order=True
        )
        if labeled.height:
            joined_parts.append(compute_losses(labeled.sort(TIME_COLUMN, *KEY_COLUMNS), bundle))
    joined = pl.concat(joined_parts).unique(KEY_COLUMNS, keep="first", maintain_order=True)
    return joined, n_predictions


def compute_losses(rows: pl.DataFrame, bundle: Bundle) -> pl.DataFrame:
    """Return labeled predictions with the columns of `FEEDBACK_SCHEMA`: see `bounded_losses`."""
    outputs = select_outputs(rows)
    target = (
        rows[LABEL_COLUMN]
        if "classes" in bundle.target_spec
        else rows[LABEL_COLUMN].cast(pl.Float64)
    )
    y = bundle.task.encode(target, bundle.target_spec)
    loss_unit = bundle.manifest["reference_loss"]["loss_unit"]
    is_correct = outputs["prediction"].cast(pl.String) == rows[LABEL_COLUMN]
    return rows.with_columns(
        encode_groups(rows, bundle),
        pl.Series("loss", bounded_losses(outputs, y, loss_unit), dtype=pl.Float64),
        (is_correct if "classes" in bundle.target_spec else pl.lit(None, pl.Boolean)).alias(
            "is_correct"
        ),
    ).select(list(FEEDBACK_SCHEMA))
