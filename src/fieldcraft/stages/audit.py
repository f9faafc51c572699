"""Look for what is wrong with the data, before the split and after it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from fieldcraft.bundle.rows import Development, feature_schema, load_development, target_column
from fieldcraft.contracts import Check, Json, Stage, View
from fieldcraft.core import catalogue, files
from fieldcraft.data.look import looks
from fieldcraft.data.read import read_table
from fieldcraft.data.table import Column, Schema
from fieldcraft.evidence.records import SEVERITIES, Finding
from fieldcraft.project.work import Work


def audit(work: Work) -> Json:
    """Run the checks that fit: label-free ones on all rows, the others on training rows."""
    split = work.inputs.get("split")
    view = training_view(split, work) if split else data_view(work)
    wanted = "split" if split else "data"
    found: list[Finding] = []
    checks = [check for check in all_checks() if check.looks_at == wanted]
    for number, check in enumerate(checks):
        work.progress(check.code, number / len(checks))
        found += check.run(view)
    found.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    for finding in found:
        work.record("finding", finding.as_json())
    files.write_json(work.out / "findings.json", [finding.as_json() for finding in found])
    counts: Json = {str(name): sum(f.severity == name for f in found) for name in SEVERITIES}
    profile = {} if split else profile_of(view)
    files.write_json(work.out / "profile.json", profile)
    return {"checks": [check.code for check in checks], **counts}


def all_checks() -> list[Check]:
    """Every check: those of their own and those that belong to a kind."""
    own: list[Check] = catalogue.load_all("checks")
    return own + [check for kind in catalogue.load_all("kinds") for check in kind.checks()]


def data_view(work: Work) -> View:
    """All rows as read, without a look at what the target says about them."""
    settings = work.settings
    sources = settings.data.sources()
    paths = [sources.train, sources.validation, sources.test]
    frames = [
        read_table(work.project.resolve(path), settings.data.names).frame for path in paths if path
    ]
    shared = [name for name in frames[0].columns if all(name in frame for frame in frames)]
    frame = pl.concat([f.select(shared) for f in frames], how="vertical_relaxed")
    columns = tuple(
        Column(name, column.kind, column.options())
        for name, column in settings.data.columns.items()
        if name in shared and name != settings.problem.target and name not in settings.data.drop
    )
    missing = tuple(settings.data.missing)
    features = Schema((*feature_schema(settings).columns, target_column(settings)), missing)
    return View(
        schema=Schema(columns, missing),
        target=settings.problem.target,
        looks=looks(frame, missing),
        values=features.apply(frame),
        rows=range(1, frame.height + 1),
    )


def training_view(split: Path, work: Work) -> View:
    """Training rows with their target, and the digests of all parts."""
    rows: Development = load_development(split, work.settings)
    parts = pl.read_parquet(split / "split.parquet")
    training = (
        parts.filter(pl.col("place") == "develop")["part"].is_in(["train", "cross"]).to_numpy()
    )
    frame = rows.frame.filter(training)
    return View(
        schema=rows.schema,
        target=work.settings.problem.target,
        looks=looks(frame.select(rows.values.columns), rows.schema.missing),
        values=rows.values.filter(training),
        rows=[line for line, used in zip(rows.rows, training, strict=True) if used],
        task=rows.task,
        about=rows.about,
        y=rows.y[training],
        digests=digests_by_part(parts),
    )


def digests_by_part(parts: pl.DataFrame) -> Mapping[str, list[bytes]]:
    """Digests of feature cells by part; the folds of a small table count as training rows."""
    named = parts.with_columns(pl.col("part").replace("cross", "train"))
    return {
        part: named.filter(pl.col("part") == part)["features"].to_list()
        for part in ("train", "tune", "judge", "test")
        if part in named["part"]
    }


def profile_of(view: View) -> Json:
    """Counts of every column, for the report."""
    return {
        "rows": len(view.rows),
        "columns": {
            name: {"missing": look.missing, "distinct": look.distinct, "top": look.top(3)}
            for name, look in view.looks.items()
        },
    }


STAGE = Stage(
    "audit",
    "Look for what is wrong with the data, before the split and after it.",
    audit,
    sections=("problem.target", "problem.task", "problem.positive", "data", "clean"),
)
