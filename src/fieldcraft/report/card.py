"""The model card of a bundle, written from the records of the project.

Mitchell et al., *Model Cards for Model Reporting*, FAT* 2019.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from fieldcraft.bundle.manifest import read_manifest, write_manifest
from fieldcraft.core import files
from fieldcraft.report import checklist
from fieldcraft.report.project_report import (
    describe_columns,
    describe_coverage,
    get_champion_metric,
)
from fieldcraft.report.render import render_template
from fieldcraft.report.report_data import ReportData, describe_test_set

# `write_manifest` computes these itself.
COMPUTED_MANIFEST_FIELDS = ("format", "model_id", "files", "digest")


def update_model_card(bundle: Path, report_data: ReportData) -> None:
    """Write the card into a bundle if its text has changed; the model id stays."""
    manifest = read_manifest(bundle)
    texts = {
        "card.html": render_card(report_data, manifest["model_id"], "card.html.j2"),
        "card.md": render_card(report_data, manifest["model_id"], "card.md.j2"),
    }
    if all(
        (bundle / name).exists() and (bundle / name).read_text(encoding="utf-8") == text
        for name, text in texts.items()
    ):
        return  # not written again, as a server reloads a bundle whose files change
    manifest_body = {
        key: value for key, value in manifest.items() if key not in COMPUTED_MANIFEST_FIELDS
    }
    manifest_body["lineage"] = {**manifest_body["lineage"], "ledger_head": report_data.ledger_head}
    # A copy replaces the bundle as a whole: its files and their checksums must never disagree.
    with files.atomic_folder(bundle) as staging:
        shutil.copytree(bundle, staging, dirs_exist_ok=True)
        for name, text in texts.items():
            files.atomic_write_text(staging / name, text)
        write_manifest(staging, manifest_body)


def render_card(report_data: ReportData, model_id: str, template: str) -> str:
    """The card as HTML or Markdown."""
    serious_findings = [finding for finding in report_data.findings if finding.severity != "info"]
    return render_template(
        template,
        report=report_data,
        model_id=model_id,
        test_set_status=describe_test_set(report_data),
        main_metric=get_champion_metric(report_data),
        columns=describe_columns(report_data),
        findings=serious_findings,
        checklist=checklist.build_checklist(report_data),
        coverage=describe_coverage(report_data),
    )
