"""Join what was true to what was said: each prediction once, whatever labels come."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from fieldcraft.bundle.runtime import Bundle
from fieldcraft.contracts import Json
from fieldcraft.core.errors import DataError, near
from fieldcraft.core.words import listed
from fieldcraft.data.table import Column
from fieldcraft.evidence.groups import group_of
from fieldcraft.evidence.performance import losses
from fieldcraft.serving.record import SAID
from fieldcraft.serving.windows import parts

REQUEST, ROW = "request", "row"
LABEL = "label"
GROUP = "(group) "  # before the names of columns that came with labels
KEPT: dict[str, Any] = {
    "request": pl.String, "row": pl.Int64, "label": pl.String, "loss": pl.Float64,
    "right": pl.Boolean, "time": pl.Datetime("us", "UTC"), "model": pl.String,
    "groups": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class Joined:
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


def join(given: pl.DataFrame, log: Path, bundle: Bundle, before: pl.DataFrame) -> Joined:
    """Join labels to the predictions of a log.

    The first label of a prediction stays; one that says something else is counted and left out. So
    are labels of no prediction: they can be given again when the log has it. Labels that contradict
    each other in one table are all left out.

    Args:
        given: labels with ``request``, ``row`` (0 if left out) and the target or ``label``.
        log: folder of the prediction log.
        bundle: whose predictions they are.
        before: what was joined earlier.

    Raises:
        DataError: a column is missing, or the model is of many labels.
    """
    labels = readable(given, bundle)
    counts: Json = {"unread": given.height - labels.height}
    once = labels.unique(maintain_order=True)
    counts["twice"] = labels.height - once.height
    keys = [REQUEST, ROW]
    clear = once.filter(pl.len().over(keys) == 1)
    counts["contradictory"] = once.height - clear.height
    earlier = clear.join(before.select(*keys, pl.col(LABEL).alias("said")), on=keys, how="inner")
    differ = int((earlier[LABEL] != earlier["said"]).sum())
    counts["contradictory"] += differ
    counts["known"] = earlier.height - differ
    fresh = clear.join(before, on=keys, how="anti")
    found, predictions = predicted(fresh, log, bundle)
    counts |= {"new_labels": found.height, "unknown": fresh.height - found.height}
    counts["predictions"] = predictions
    return Joined(pl.concat([before, found.select(before.columns)]), counts)


def readable(given: pl.DataFrame, bundle: Bundle) -> pl.DataFrame:
    """Keys and labels as text, those left out that cannot be read.

    Raises:
        DataError: a column is missing, or the model is of many labels.
    """
    targets: Sequence[str] = bundle.manifest["targets"]
    if len(targets) != 1:
        raise DataError(
            "labels of models of several targets cannot be joined yet",
            seen=listed(list(targets)),
            way_out="compare them outside: the prediction log is made of Parquet files",
        )
    label = next((name for name in (targets[0], LABEL) if name in given.columns), None)
    missing = [name for name, there in ((REQUEST, REQUEST in given.columns), (targets[0], label))
               if not there]  # fmt: skip
    if missing:
        raise DataError(
            f"the labels have no column {missing[0]!r}",
            seen=listed(given.columns),
            way_out=f"{near(missing[0], given.columns)} Labels need {REQUEST!r}, as in the answers "
            f"of the server, and {targets[0]!r}; also {ROW!r} where requests have several rows",
        )
    row = pl.col(ROW).cast(pl.Int64, strict=False) if ROW in given.columns else pl.lit(0, pl.Int64)
    groups = groups_of(bundle)
    found = given.select(
        pl.col(REQUEST).cast(pl.String), row.alias(ROW),
        bundle.schema.stripped(given[str(label)]).cast(pl.String).alias(LABEL),
        *(bundle.schema.parse(given[name], column).alias(GROUP + name)
          for name, column in groups.items() if name in given.columns),
    )  # fmt: skip
    classes = bundle.about.get("classes")
    bare = pl.col(LABEL).str.strip_suffix(".")  # as the Adult data writes the labels of its test
    if classes:
        dotted = bare.is_in(classes) & ~pl.col(LABEL).is_in(classes)
        meant = pl.when(dotted).then(bare).otherwise(pl.col(LABEL))
        good = meant.is_in(classes)
    else:
        number = pl.col(LABEL).cast(pl.Float64, strict=False)
        meant, good = number.cast(pl.String), number.is_finite()
    there = pl.col(REQUEST).is_not_null() & pl.col(ROW).is_not_null()
    return found.filter(good.fill_null(False) & there).with_columns(meant.alias(LABEL))


def groups_of(bundle: Bundle) -> dict[str, Column]:
    """The columns by whose groups performance is told apart."""
    known = bundle.manifest["performance"].get("groups", {})
    return {
        name: Column(name, about["column"]["kind"], about["column"]["options"])
        for name, about in known.items()
    }


def told_groups(rows: pl.DataFrame, bundle: Bundle) -> pl.Series:
    """The groups of labelled rows as JSON: by what came with the labels, else by the log."""
    known = bundle.manifest["performance"].get("groups", {})
    found: dict[str, pl.Series] = {}
    for name, about in known.items():
        place = next((n for n in (GROUP + name, name) if n in rows.columns), None)
        if place is not None:
            found[name] = group_of(rows[place], about["edges"])
    texts = [
        json.dumps(dict(zip(found, row, strict=True)))
        for row in zip(*found.values(), strict=True)
    ]  # fmt: skip
    return pl.Series("groups", texts if found else [None] * rows.height, dtype=pl.String)


def predicted(labels: pl.DataFrame, log: Path, bundle: Bundle) -> tuple[pl.DataFrame, int]:
    """Labels with the predictions that they are of, and how many of this model the log has."""
    found, count = [pl.DataFrame(schema=KEPT)], 0
    for part in parts(log):
        table = pl.read_parquet(part).filter(pl.col("model") == bundle.model_id)
        count += table.height
        mine = table.join(labels, on=[REQUEST, ROW], how="inner").unique([REQUEST, ROW])
        if mine.height:
            found.append(judged(mine.sort("time", REQUEST, ROW), bundle))
    return pl.concat(found).unique([REQUEST, ROW], keep="first", maintain_order=True), count


def judged(rows: pl.DataFrame, bundle: Bundle) -> pl.DataFrame:
    """The loss of predictions whose label is known."""
    said = rows.select(
        pl.col(name).alias(name.removeprefix(SAID))
        for name in rows.columns
        if name.startswith(SAID)
    )
    target = rows[LABEL] if "classes" in bundle.about else rows[LABEL].cast(pl.Float64)
    y = bundle.task.encode(target, bundle.about)
    unit = bundle.manifest["performance"]["unit"]
    right = said["prediction"].cast(pl.String) == rows[LABEL]
    return rows.with_columns(
        told_groups(rows, bundle),
        pl.Series("loss", losses(said, y, unit), dtype=pl.Float64),
        (right if "classes" in bundle.about else pl.lit(None, pl.Boolean)).alias("right"),
    ).select(list(KEPT))
