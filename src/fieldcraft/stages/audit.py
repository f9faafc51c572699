"""Check the data, before and after the split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope, Stage
from fieldcraft.core import files
from fieldcraft.core.formatting import pluralize
from fieldcraft.core.types import Json
from fieldcraft.data.column_profile import profile_columns
from fieldcraft.data.location import resolve_address
from fieldcraft.data.pii import redact_pii
from fieldcraft.data.read import read_table
from fieldcraft.data.schema import Schema
from fieldcraft.ledger.records import SEVERITIES, Finding
from fieldcraft.modeling.check_runner import checks_for_scope, save_findings
from fieldcraft.modeling.dataset import (
    ROW_NUMBER_COLUMN,
    SOURCE_COLUMN,
    TARGET_SECTIONS,
    ModelingDataset,
    excluded_columns,
    feature_schema,
    load_dataset,
    make_column,
    read_joined_rows,
    target_columns,
)
from fieldcraft.project.context import StageContext


def audit(context: StageContext) -> Json:
    """Run the checks of all rows before the split, or of the training rows after it."""
    split_folder = context.inputs.get("split")
    check_context = (
        build_training_context(split_folder, context)
        if split_folder
        else build_data_context(context)
    )
    scope: CheckScope = "split" if split_folder else "data"
    findings = [] if split_folder else find_unreadable_rows(context)
    checks = checks_for_scope(scope)
    for number, check in enumerate(checks):
        context.on_progress(check.code, number / len(checks))
        findings += check.run(check_context)
    save_findings(findings, context)
    counts: Json = {
        str(name): sum(finding.severity == name for finding in findings) for name in SEVERITIES
    }
    profile = {} if split_folder else summarize_columns(check_context)
    files.atomic_write_json(context.out / "profile.json", profile)
    return {"checks": [check.code for check in checks], **counts}


def find_unreadable_rows(context: StageContext) -> list[Finding]:
    """A finding for each source file with malformed rows."""
    sources = context.settings.data.source_files()
    findings = []
    for name in (sources.train, sources.validation, sources.test):
        if name is None:
            continue
        read_result = read_table(
            resolve_address(name, context.project.root), context.settings.data.column_names
        )
        count = len(read_result.malformed_lines)
        if count:
            findings.append(
                Finding(
                    "unreadable_rows",
                    "warning",
                    f"{pluralize(count, 'row')} of {Path(name).name} "
                    f"{'is' if count == 1 else 'are'} malformed and skipped "
                    f"(lines {read_result.describe_malformed()})",
                    None,
                    {"rows": count, "line_numbers": list(read_result.malformed_lines[:100])},
                    "check these lines for missing or extra cells and for unbalanced quotes",
                )
            )
    return findings


def build_data_context(context: StageContext) -> CheckContext:
    """The check context of all rows.

    It has no encoded target: its rows include the future test rows, so no check may relate features
    to the target yet.
    """
    settings = context.settings
    frame = read_joined_rows(context.project, settings).drop(ROW_NUMBER_COLUMN, SOURCE_COLUMN)
    excluded = excluded_columns(settings)
    columns = tuple(
        make_column(settings, name)
        for name in settings.data.columns
        if name in frame.columns and name not in excluded
    )
    na_values = tuple(settings.data.na_values)
    features = feature_schema(settings)
    schema_with_targets = replace(features, columns=(*features.columns, *target_columns(settings)))
    return CheckContext(
        schema=Schema(columns, na_values),
        targets=settings.problem.targets,
        column_profiles=profile_columns(frame, na_values),
        values=schema_with_targets.apply(frame),
        row_numbers=range(1, frame.height + 1),
        **get_column_roles(context),
    )


def build_training_context(split_folder: Path, context: StageContext) -> CheckContext:
    """The check context of the training rows with their targets, and digests of all parts."""
    dataset: ModelingDataset = load_dataset(split_folder, context.settings)
    parts = pl.read_parquet(split_folder / "split.parquet")
    # cv: the rows of a small table, all of which train some fold.
    is_training = (
        parts.filter(pl.col("storage") == "development")["part"].is_in(["train", "cv"]).to_numpy()
    )
    frame = dataset.frame.filter(is_training)
    needed_columns = [
        *(column.name for column in dataset.schema.input_columns),
        *context.settings.problem.sensitive_features,
    ]
    present_columns = [name for name in dict.fromkeys(needed_columns) if name in frame.columns]
    return CheckContext(
        schema=dataset.schema,
        targets=context.settings.problem.targets,
        column_profiles=profile_columns(
            frame.select(present_columns), dataset.schema.missing_markers
        ),
        values=dataset.features.filter(is_training),
        row_numbers=[
            row_number
            for row_number, is_used in zip(dataset.row_numbers, is_training, strict=True)
            if is_used
        ],
        task=dataset.task,
        target_spec=dataset.target_spec,
        y=dataset.y[is_training],
        row_digests=group_digests_by_part(parts, "feature_digest"),
        group_digests=group_digests_by_part(parts, "group_digest")
        if context.settings.data.group
        else None,
        **get_column_roles(context),
    )


def get_column_roles(context: StageContext) -> dict[str, Any]:
    """The columns with a role, as fields of a check context."""
    settings = context.settings
    return {
        "sensitive_features": tuple(settings.problem.sensitive_features),
        "time_column": settings.data.time_column if settings.split.strategy == "time" else None,
        "group_column": settings.data.group,
    }


def group_digests_by_part(parts: pl.DataFrame, digest_column: str) -> Mapping[str, list[bytes]]:
    """Digests by part; cross-validated rows count as training rows."""
    merged_parts = parts.with_columns(pl.col("part").replace("cv", "train"))
    return {
        part: merged_parts.filter(pl.col("part") == part)[digest_column].to_list()
        for part in ("train", "validation", "evaluation", "test")
        if part in merged_parts["part"]
    }


def summarize_columns(check_context: CheckContext) -> Json:
    """Missing, distinct and most frequent values of each column; personal data is redacted."""
    return {
        "rows": len(check_context.row_numbers),
        "columns": {
            name: {
                "n_missing": profile.n_missing,
                "n_distinct": profile.n_unique,
                "top_values": [
                    (redact_pii(value), count) for value, count in profile.most_common(3)
                ],
            }
            for name, profile in check_context.column_profiles.items()
        },
    }


STAGE = Stage(
    "audit",
    "Check the data, before and after the split.",
    audit,
    config_sections=(
        *TARGET_SECTIONS,
        "problem.sensitive_features",
        "data",
        "clean",
        "split.strategy",
    ),
    version=6,
)
