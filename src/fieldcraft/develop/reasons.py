"""Why the champion said of single rows what it said: cells are changed, and it is asked again.

That is true of whatever the champion is made of, a blend, trees or a network. How a cell is changed
is known to its kind, which returns what it found as JSON: ``spans`` (text and weight) or a
``picture`` (a ``data:`` address), and ``most``, by how much the heaviest part moves the score.
Weights go from -1, against what was said, to 1, for it. Where the champion has a network that reads
such columns, ``network`` holds further maps by name, such as those of its gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Json
from fieldcraft.core import catalogue
from fieldcraft.develop.importance import Model, Tell, outputs
from fieldcraft.develop.rows import Development
from fieldcraft.evidence.metrics import Said


@dataclass(frozen=True)
class Score:
    """What is explained of a row: one of the champion's outputs.

    Attributes:
        chosen: which output.
        of: the class or label whose probability it is; None where it is the predicted value.
        unit: what counts as a large difference: a probability of 1, the usual spread of a target.
    """

    chosen: int
    of: str | None
    unit: float

    def read(self, calibrated: Array) -> Array:
        """The output that is explained, of each row."""
        return np.asarray(calibrated[:, self.chosen], dtype=np.float64)


def reasons(
    models: Sequence[Model], rows: Development, positions: Sequence[int], tell: Tell
) -> list[Json]:
    """For some judge rows what each column that can be explained has to do with the prediction.

    Args:
        models: for each fold the members that judge its rows, with their calibration.
        rows: the rows that they were developed on.
        positions: of judge rows.
        tell: told how far it is.

    Returns:
        For each row its ``position``, the ``score`` that is explained, the class or label that it
        is ``of``, its ``unit``, and ``columns``: what kinds found, by column.
    """
    judged = {int(place): number for number, f in enumerate(rows.folds) for place in f.judge}
    found = []
    for number, position in enumerate(positions):
        tell(f"explaining row {number + 1} of {len(positions)}", number / len(positions))
        found.append(explained(models[judged[position]], rows, position))
    return found


def explained(model: Model, rows: Development, position: int) -> Json:
    """Why a row was predicted as it was, by the members that had not seen it."""
    row = rows.values[position : position + 1]

    def calibrated(values: pl.DataFrame) -> Array:
        return rows.task.calibrated(outputs(model, [values]), model.calibration)

    plain = calibrated(row)
    score = score_for(rows, position, rows.task.read(plain, rows.about, model.calibration))
    columns: dict[str, Json] = {}
    for column in rows.schema.columns:

        def said(cells: Sequence[object], name: str = column.name) -> Array:
            return score.read(calibrated(with_cells(row, name, cells)))

        why = catalogue.load("kinds", column.kind).explain(row[column.name][0], said)
        if why:
            columns[column.name] = why
    for name, maps in traced(model, rows, row, score).items() if columns else ():
        if name in columns:
            columns[name]["network"] = maps
    value = float(score.read(plain)[0])
    return {
        "position": position, "of": score.of, "score": value, "unit": score.unit,
        "columns": columns,
    }  # fmt: skip


def with_cells(row: pl.DataFrame, name: str, cells: Sequence[object]) -> pl.DataFrame:
    """The row as often as there are cells, with these in one column."""
    many = row[[0] * len(cells)]
    return many.with_columns(pl.Series(name, cells, dtype=row.schema[name]))


def traced(model: Model, rows: Development, row: pl.DataFrame, score: Score) -> dict[str, Json]:
    """Maps by column of what the champion's network, if it has one, traces its output back to."""
    for member, _ in sorted(model.folds[0], key=lambda pair: -pair[1]):
        network = getattr(member.fitted, "network", None)
        if network is None:
            continue
        tensors = member.encoders.transform(member.encoders.read(row)).tensors()
        found: dict[str, Json] = {}
        for name in member.encoders.encoders:
            columns = [column.name for column in rows.schema.of_kind(name)]
            kind = catalogue.load("kinds", name)
            maps = kind.trace(network, tensors, score.chosen, rows.task.output)
            found.update(zip(columns, maps, strict=False))
        return found
    return {}


def score_for(rows: Development, position: int, said: Said) -> Score:
    """What is to be explained of a row: of labels the one that is furthest from the truth."""
    if rows.task.output == "value":
        return Score(0, None, usual(rows.y))
    if rows.task.output == "labels":
        chosen = int(np.abs(said.outputs[0] - rows.y[position]).argmax())
        return Score(chosen, str(rows.about["labels"][chosen]), 1.0)
    of = str(rows.task.decide(said, rows.about)["prediction"][0])
    return Score(int(said.decisions[0]), of, 1.0)


def usual(y: Array) -> float:
    """How far apart the quartiles of a target are, which no single value blows up."""
    low, high = np.quantile(y, [0.25, 0.75])
    return float(high - low) or float(y.std()) or 1.0
