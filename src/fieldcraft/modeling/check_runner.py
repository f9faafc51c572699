"""Select checks, and save and load their findings."""

from __future__ import annotations

from pathlib import Path

from fieldcraft.contracts import Check, CheckContext, CheckScope
from fieldcraft.core import catalog, files
from fieldcraft.core.types import Array
from fieldcraft.data.column_profile import profile_columns
from fieldcraft.ledger.records import SEVERITIES, Finding
from fieldcraft.modeling.dataset import ModelingDataset
from fieldcraft.project.context import StageContext
from fieldcraft.statistics.metrics import Predictions

FINDINGS_FILE = "findings.json"


def checks_for_scope(scope: CheckScope) -> list[Check]:
    """All checks of a scope: plug-ins of their own and those that come with a kind of column."""
    standalone_checks: list[Check] = catalog.load_plugins("checks")
    all_checks = standalone_checks + [
        check for kind in catalog.load_plugins("kinds") for check in kind.checks()
    ]
    return [check for check in all_checks if check.scope == scope]


def save_findings(findings: list[Finding], context: StageContext) -> list[Finding]:
    """Record findings in the ledger and in the folder of the step, most severe first."""
    ordered = sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
    for finding in ordered:
        context.log_record("finding", finding.to_json())
    files.atomic_write_json(context.out / FINDINGS_FILE, [finding.to_json() for finding in ordered])
    return ordered


def load_findings(folder: Path) -> list[Finding]:
    """The findings of a step; empty if the step runs no checks."""
    is_saved = (folder / FINDINGS_FILE).exists()
    return (
        [Finding.from_json(entry) for entry in files.read_json(folder / FINDINGS_FILE)]
        if is_saved
        else []
    )


def make_evaluation_context(
    dataset: ModelingDataset,
    evaluation_positions: Array,
    predictions: Predictions,
    targets: tuple[str, ...],
) -> CheckContext:
    """The check context of the evaluation rows, with the predictions of the champion."""
    positions = evaluation_positions.tolist()
    frame = dataset.frame[positions]
    feature_names = [
        column.name for column in dataset.schema.input_columns if column.name in frame.columns
    ]
    return CheckContext(
        schema=dataset.schema,
        targets=targets,
        column_profiles=profile_columns(
            frame.select(feature_names), dataset.schema.missing_markers
        ),
        values=dataset.features[positions],
        row_numbers=[dataset.row_numbers[position] for position in positions],
        task=dataset.task,
        target_spec=dataset.target_spec,
        y=dataset.y[evaluation_positions],
        predictions=predictions,
    )
