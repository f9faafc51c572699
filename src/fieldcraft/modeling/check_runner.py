"""Find the checks that fit, run them, and keep what they found."""

from __future__ import annotations

from pathlib import Path

from fieldcraft.contracts import Check, CheckContext, CheckScope
from fieldcraft.core import catalog, files
from fieldcraft.core.types import Array
from fieldcraft.data.column_profile import looks
from fieldcraft.ledger.records import SEVERITIES, Finding
from fieldcraft.modeling.dataset import ModelingDataset
from fieldcraft.project.context import StageContext
from fieldcraft.statistics.metrics import Predictions

FINDINGS_FILE = "findings.json"  # of the file in the folder of a step


def checks_for_scope(scope: CheckScope) -> list[Check]:
    """Every check that looks at this: those of their own and those that belong to a kind."""
    standalone_checks: list[Check] = catalog.load_plugins("checks")
    all_checks = standalone_checks + [
        check for kind in catalog.load_plugins("kinds") for check in kind.checks()
    ]
    return [check for check in all_checks if check.scope == scope]


def save_findings(findings: list[Finding], context: StageContext) -> list[Finding]:
    """Put findings on the record and into the folder of a step, the worst first."""
    ordered = sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
    for finding in ordered:
        context.log_record("finding", finding.to_json())
    files.atomic_write_json(context.out / FINDINGS_FILE, [finding.to_json() for finding in ordered])
    return ordered


def load_findings(folder: Path) -> list[Finding]:
    """The findings that a step kept; none of a step that an older version ran."""
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
    """Judge rows with what the champion says about them, which has not learned from them."""
    positions = evaluation_positions.tolist()
    frame = dataset.frame[positions]
    feature_names = [
        column.name for column in dataset.schema.input_columns if column.name in frame.columns
    ]
    return CheckContext(
        schema=dataset.schema,
        targets=targets,
        column_profiles=looks(frame.select(feature_names), dataset.schema.missing_markers),
        values=dataset.features[positions],
        row_numbers=[dataset.row_numbers[position] for position in positions],
        task=dataset.task,
        target_spec=dataset.target_spec,
        y=dataset.y[evaluation_positions],
        predictions=predictions,
    )
