"""Views of small tables, as the audit stage builds them, for tests of checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.contracts import Check, Json, Sight, View
from fieldcraft.core import catalogue
from fieldcraft.data.look import looks
from fieldcraft.data.table import Column, Schema, row_digests
from fieldcraft.evidence.records import Finding

TARGET = "y"


def data_view(cells: Mapping[str, Any], missing: Sequence[str] = (), **kinds: str) -> View:
    """All rows before the split.

    Args:
        cells: of each column as read; one called ``y`` is the target.
        missing: words that stand for a missing value.
        kinds: of the columns, the target left out.
    """
    frame = pl.DataFrame(cells)
    schema = Schema(tuple(Column(name, kind) for name, kind in kinds.items()), tuple(missing))
    used = [c for c in schema.columns if catalogue.load("kinds", c.kind).used]
    target = [Column(TARGET, "category")] if TARGET in frame.columns else []
    values = Schema((*used, *target), schema.missing).apply(frame)
    rows = range(1, frame.height + 1)
    return View(schema, TARGET, looks(frame, schema.missing), values, rows)


def split_view(cells: Mapping[str, Any], task: str, **kinds: str) -> View:
    """Training rows after the split, with the target ``y``."""
    frame = pl.DataFrame(cells)
    schema = Schema(tuple(Column(name, kind) for name, kind in kinds.items()))
    plug = catalogue.load("tasks", task)
    target = frame[TARGET].cast(pl.Float64 if plug.output == "value" else pl.String)
    about = plug.describe(target, None)
    values = schema.apply(frame)
    return View(
        schema, TARGET, looks(frame), values, range(1, frame.height + 1),
        plug, about, plug.encode(target, about),
        {"train": row_digests(values), "test": []},
    )  # fmt: skip


def bare_view(looks_at: Sight, rows: int, **kinds: str) -> View:
    """Rows without a value, or no rows at all; after the split all of one class."""
    rows = rows if kinds else 0
    frame = pl.DataFrame({name: pl.Series([None] * rows, dtype=pl.String) for name in kinds})
    schema = Schema(tuple(Column(name, kind) for name, kind in kinds.items()))
    task = catalogue.load("tasks", "binary")
    after: Json = {} if looks_at == "data" else {
        "task": task, "about": {"classes": ["a", "b"]}, "y": np.zeros(rows, dtype=np.int64),
        "digests": {"train": row_digests(frame), "judge": []},
    }  # fmt: skip
    return View(schema, TARGET, looks(frame), schema.apply(frame), range(rows), **after)


def found(check: Check, view: View) -> list[Finding]:
    """What a check reports."""
    return list(check.run(view))


def titles(findings: Iterable[Finding]) -> str:
    """What findings say, one a line."""
    return "\n".join(finding.title for finding in findings)


def every_check() -> list[Check]:
    """Every check that is plugged in, by itself or by a kind."""
    own: list[Check] = catalogue.load_all("checks")
    return own + [check for kind in catalogue.load_all("kinds") for check in kind.checks()]
