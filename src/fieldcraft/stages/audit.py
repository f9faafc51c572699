"""Look for what is wrong with the data, before the split and after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from fieldcraft.contracts import Json, Sight, Stage, View
from fieldcraft.core import files
from fieldcraft.core.words import plural
from fieldcraft.data.look import looks
from fieldcraft.data.personal import hidden
from fieldcraft.data.read import located, read_table
from fieldcraft.data.table import Schema
from fieldcraft.develop.checking import checks_of, keep
from fieldcraft.develop.rows import (
    LINE,
    SOURCE,
    TARGET_SECTIONS,
    Development,
    column_for,
    feature_schema,
    load_development,
    read_rows,
    set_aside,
    target_columns,
)
from fieldcraft.evidence.records import SEVERITIES, Finding
from fieldcraft.project.work import Work


def audit(work: Work) -> Json:
    """Run the checks that fit: label-free ones on all rows, the others on training rows."""
    split = work.inputs.get("split")
    view = training_view(split, work) if split else data_view(work)
    wanted: Sight = "split" if split else "data"
    found = [] if split else from_reading(work)
    checks = checks_of(wanted)
    for number, check in enumerate(checks):
        work.progress(check.code, number / len(checks))
        found += check.run(view)
    keep(found, work)
    counts: Json = {str(name): sum(f.severity == name for f in found) for name in SEVERITIES}
    profile = {} if split else profile_of(view)
    files.write_json(work.out / "profile.json", profile)
    return {"checks": [check.code for check in checks], **counts}


def from_reading(work: Work) -> list[Finding]:
    """Rows that could not be read and are left out, file by file."""
    sources = work.settings.data.sources()
    found = []
    for name in (sources.train, sources.validation, sources.test):
        if name is None:
            continue
        reading = read_table(located(name, work.project.root), work.settings.data.names)
        count = len(reading.odd_lines)
        if count:
            found.append(
                Finding(
                    "reading",
                    "warn",
                    f"{plural(count, 'row')} of {Path(name).name} did not fit and "
                    f"{'is' if count == 1 else 'are'} left out (lines {reading.odd()})",
                    None,
                    {"rows": count, "lines": list(reading.odd_lines[:100])},
                    "look at these lines: too few or too many cells, or torn quotes",
                )
            )
    return found


def data_view(work: Work) -> View:
    """All rows as read, without a look at what the target says about them."""
    settings = work.settings
    frame = read_rows(work.project, settings).drop(LINE, SOURCE)
    apart = set_aside(settings)
    columns = tuple(
        column_for(settings, name)
        for name in settings.data.columns
        if name in frame.columns and name not in apart
    )
    missing = tuple(settings.data.missing)
    features = feature_schema(settings)
    with_targets = replace(features, columns=(*features.columns, *target_columns(settings)))
    return View(
        schema=Schema(columns, missing),
        targets=settings.problem.targets,
        looks=looks(frame, missing),
        values=with_targets.apply(frame),
        rows=range(1, frame.height + 1),
        **roles(work),
    )


def training_view(split: Path, work: Work) -> View:
    """Training rows with their target, and the digests of all parts."""
    rows: Development = load_development(split, work.settings)
    parts = pl.read_parquet(split / "split.parquet")
    training = (
        parts.filter(pl.col("place") == "develop")["part"].is_in(["train", "cross"]).to_numpy()
    )
    frame = rows.frame.filter(training)
    needed = [*(c.name for c in rows.schema.needed), *work.settings.problem.groups]
    seen = [name for name in dict.fromkeys(needed) if name in frame.columns]
    return View(
        schema=rows.schema,
        targets=work.settings.problem.targets,
        looks=looks(frame.select(seen), rows.schema.missing),
        values=rows.values.filter(training),
        rows=[line for line, used in zip(rows.rows, training, strict=True) if used],
        task=rows.task,
        about=rows.about,
        y=rows.y[training],
        digests=digests_by_part(parts, "features"),
        entities=digests_by_part(parts, "entity") if work.settings.data.entity else None,
        **roles(work),
    )


def roles(work: Work) -> dict[str, Any]:
    """Columns that the project file gives a part of their own."""
    settings = work.settings
    return {
        "groups": tuple(settings.problem.groups),
        "time": settings.data.time if settings.split.rule == "time" else None,
        "entity": settings.data.entity,
    }


def digests_by_part(parts: pl.DataFrame, what: str) -> Mapping[str, list[bytes]]:
    """Digests of some cells by part; the folds of a small table count as training rows."""
    named = parts.with_columns(pl.col("part").replace("cross", "train"))
    return {
        part: named.filter(pl.col("part") == part)[what].to_list()
        for part in ("train", "tune", "judge", "test")
        if part in named["part"]
    }


def profile_of(view: View) -> Json:
    """Counts of every column, for the report; personal data in values is hidden."""
    return {
        "rows": len(view.rows),
        "columns": {
            name: {
                "missing": look.missing,
                "distinct": look.distinct,
                "top": [(hidden(value), count) for value, count in look.top(3)],
            }
            for name, look in view.looks.items()
        },
    }


STAGE = Stage(
    "audit",
    "Look for what is wrong with the data, before the split and after it.",
    audit,
    sections=(*TARGET_SECTIONS, "problem.groups", "data", "clean", "split.rule"),
    version=5,
)
