"""The plan: which step reads what, what is done already, and what holds the run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fieldcraft.contracts import Stage
from fieldcraft.core import catalog, digest, files
from fieldcraft.core.errors import (
    BlockedByFindingsError,
    DataError,
    PluginError,
    ProjectError,
    did_you_mean,
)
from fieldcraft.core.types import Json
from fieldcraft.data.location import resolve_address
from fieldcraft.data.pretrained_weights import content_digest, use_base_folder
from fieldcraft.data.read import read_table, table_digest
from fieldcraft.ledger.records import Finding
from fieldcraft.ledger.store import Ledger
from fieldcraft.modeling.check_runner import load_findings
from fieldcraft.project import project_file
from fieldcraft.project.context import StageContext
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import ProjectSettings


@dataclass(frozen=True)
class Step:
    """A stage at its place in the flow."""

    name: str
    stage: str
    depends_on: tuple[str, ...] = ()


STEPS = (
    Step("audit", "audit"),
    Step("split", "split"),
    Step("audit-split", "audit", ("split",)),
    Step("baseline", "baseline", ("split",)),
    Step("train", "train", ("split",)),
    Step("blend", "blend", ("split", "baseline", "train")),
    Step("evaluate", "evaluate", ("split", "baseline", "train", "blend")),
    Step("explain", "explain", ("split", "baseline", "train", "blend", "evaluate")),
    Step("package", "package", ("split", "baseline", "train", "blend", "evaluate", "explain")),
)


STEP_COST_SECONDS = {  # seconds for any table, and for each row
    "audit": (2.0, 5e-5),
    "split": (0.5, 3e-5),
    "audit-split": (1.0, 5e-5),
    "baseline": (4.0, 3e-4),
    "train": (25.0, 6e-3),
    "blend": (0.2, 1e-6),
    "evaluate": (3.0, 2e-4),
    "explain": (5.0, 0.0),
    "package": (12.0, 1e-5),
}
MAX_COUNTED_ROWS = 1_000_000  # rows


class RunCallbacks(Protocol):
    """Whoever wants to see how a run goes."""

    def on_step_start(self, step: str) -> None:
        """A step begins."""

    def on_progress(self, step: str, message: str, fraction: float | None) -> None:
        """A step says how far it is."""

    def on_step_end(self, step: str, seconds: float, summary: Json) -> None:
        """A step is done."""

    def on_step_skip(self, step: str) -> None:
        """A step was done already."""

    def on_fix(self, finding: Finding) -> None:
        """A finding was mended in the project file."""


@dataclass
class RunResult:
    """Where the results of a run lie, and what each step said in short."""

    folders: dict[str, Path] = field(default_factory=dict)
    summaries: dict[str, Json] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def run_steps(
    project: ProjectFolder, callbacks: RunCallbacks, until: str | None = None, fix: bool = False
) -> RunResult:
    """Run every step up to a stage that is not done already.

    Args:
        project: the project.
        callbacks: told what happens.
        until: name of the last stage wanted; all if None.
        fix: apply the fixes of findings that stop or warn, then look again.

    Raises:
        HeldError: a finding of severity "stop" is neither fixed nor accepted.
        ProjectError: another run is at work in the project.
    """
    stage_names = {step.stage for step in STEPS}
    if until is not None and until not in stage_names:
        raise PluginError(
            f"{until!r} is not a stage of a run",
            detail=f"--until {until}",
            hint=did_you_mean(until, stage_names),
        )
    tried_fixes: set[str] | None = set() if fix else None
    with project_lock(project):
        while True:
            result, fixable = run_pass(project, callbacks, until, tried_fixes)
            if not fixable:
                return result
            for finding in fixable:
                apply_fix(project, finding)
                callbacks.on_fix(finding)
            tried_fixes = (tried_fixes or set()) | {finding.accept_key for finding in fixable}


def apply_fix(project: ProjectFolder, finding: Finding) -> None:
    """Apply the fixes of a finding to the project file, on the record."""
    project_file.apply_edits(project.file_path, finding.fixes)
    edits = [edit.describe() for edit in finding.fixes]
    body = {"decision": "fixed", "finding": finding.accept_key, "edits": edits}
    Ledger(project.ledger_path).append([("decision", "audit", "", body)])


def run_pass(
    project: ProjectFolder, callbacks: RunCallbacks, until: str | None, tried_fixes: set[str] | None
) -> tuple[RunResult, list[Finding]]:
    """Go through the steps once, or up to findings that are to be fixed first.

    Findings whose fixes were tried before are not fixed again; without a set of those, none are.
    """
    settings = project.load_settings()
    result = RunResult()
    for step, key in step_keys(project, settings, until):
        run_step(project, settings, step, key, result, callbacks)
        if step.stage == "audit":
            findings = load_findings(result.folders[step.name])
            result.findings += findings
            fixable = fixable_findings(findings, settings, tried_fixes)
            if fixable:
                return result, fixable
            raise_if_blocked(findings, settings)
    return result, []


def step_keys(
    project: ProjectFolder, settings: ProjectSettings, until: str | None
) -> list[tuple[Step, str]]:
    """The steps up to a stage, each with the digest of everything that its result depends on."""
    last_index = max(
        (index for index, step in enumerate(STEPS) if until in (None, step.stage)), default=0
    )
    sources = source_digests(project, settings) + backbone_digests(project, settings)
    keys: dict[str, str] = {}
    for step in STEPS[: last_index + 1]:
        stage: Stage = catalog.load_plugin("stages", step.stage)
        inputs = [keys[name] for name in step.depends_on] or sources
        config_digest = settings.digest(stage.config_sections)
        keys[step.name] = digest.of_json([step.name, stage.version, config_digest, inputs])
    return [(step, keys[step.name]) for step in STEPS[: last_index + 1]]


@dataclass(frozen=True)
class PlannedStep:
    """A step that a run would take: whether it is done already, and else about how long it takes.

    Attributes:
        name: of the step.
        done: nothing that it depends on has changed since it was run.
        seconds: what it took last time, else what such tables take; None if it is done.
    """

    name: str
    done: bool
    seconds: float | None


def plan_run(project: ProjectFolder, until: str | None = None) -> list[PlannedStep]:
    """What a run would do, without doing it."""
    settings, ledger = project.load_settings(), Ledger(project.ledger_path)
    rows = count_source_rows(project, settings)
    planned = []
    for step, key in step_keys(project, settings, until):
        if project.run_folder(step.name, key).exists():
            planned.append(PlannedStep(step.name, True, None))
            continue
        last_run = ledger.last("done", step.name)
        expected_seconds = (
            float(last_run.body["seconds"]) if last_run else estimate_seconds(step.name, rows)
        )
        time_budget = settings.train.time_budget if step.name == "train" else None
        planned.append(
            PlannedStep(step.name, False, min(expected_seconds, time_budget or expected_seconds))
        )
    return planned


def count_source_rows(project: ProjectFolder, settings: ProjectSettings) -> int:
    """How many rows the source has."""
    source = resolve_address(settings.data.source_files().train, project.root)
    return int(read_table(source, settings.data.column_names).frame.height)


def estimate_seconds(step: str, rows: int) -> float:
    """What a step takes on two cores, from tables measured: docs/benchmarks.md."""
    base_seconds, seconds_per_row = STEP_COST_SECONDS[step]
    return base_seconds + seconds_per_row * min(rows, MAX_COUNTED_ROWS)


def run_step(
    project: ProjectFolder,
    settings: ProjectSettings,
    step: Step,
    key: str,
    run_result: RunResult,
    callbacks: RunCallbacks,
) -> None:
    """Run one step unless it is done; put its folder and summary into the outcome."""
    stage: Stage = catalog.load_plugin("stages", step.stage)
    ledger = Ledger(project.ledger_path)
    folder, partial_folder = (
        project.run_folder(step.name, key),
        project.partial_folder(step.name, key),
    )
    run_result.folders[step.name] = folder
    if folder.exists():
        result = files.read_json(folder / "outcome.json")
        if ledger.last("done", step.name, key) is None:  # killed just before the last line
            record_done(project, step, key, folder, result)
        run_result.summaries[step.name] = result["summary"]
        callbacks.on_step_skip(step.name)
        return
    callbacks.on_step_start(step.name)
    start = time.monotonic()
    partial_folder.mkdir(parents=True, exist_ok=True)
    records: list[tuple[str, Json]] = []
    context = StageContext(
        project=project,
        settings=settings,
        inputs={name: run_result.folders[name] for name in step.depends_on},
        out=partial_folder,
        previous=latest_folders(project).get(step.name),
        log_record=lambda kind, body: records.append((kind, body)),
        on_progress=lambda text, share: callbacks.on_progress(step.name, text, share),
    )
    with use_base_folder(project.root):
        summary = stage.run(context)
    seconds = round(time.monotonic() - start, 3)
    result = {"summary": summary, "records": records, "seconds": seconds}
    files.atomic_write_json(partial_folder / "outcome.json", result)
    files.replace_folder(partial_folder, folder)
    record_done(project, step, key, folder, result)
    run_result.summaries[step.name] = summary
    callbacks.on_step_end(step.name, seconds, summary)


def record_done(
    project: ProjectFolder, step: Step, key: str, folder: Path, result: Mapping[str, Any]
) -> None:
    """Write what a step found, and that it is done, into the ledger in one piece."""
    entries = [(kind, step.name, key, body) for kind, body in result["records"]]
    body = {
        "summary": result["summary"],
        "seconds": result["seconds"],
        "folder": digest.of_json(digest.of_folder(folder)),
        **({"trial": True} if project.trial_file else {}),
    }
    Ledger(project.ledger_path).append([*entries, ("done", step.name, key, body)])


def latest_folders(project: ProjectFolder) -> dict[str, Path]:
    """The folder of each step as it was done last, or as the current bundle was made.

    What challengers have left that were not promoted does not count.
    """
    folders: dict[str, Path] = {}
    for entry in Ledger(project.ledger_path).entries():
        if entry.kind == "done" and not entry.body.get("trial"):
            folders[entry.stage] = project.run_folder(entry.stage, entry.key)
        elif entry.body.get("decision") == "published":
            folders |= {
                name: project.run_folder(name, key) for name, key in entry.body["steps"].items()
            }
    return {name: folder for name, folder in folders.items() if folder.exists()}


def source_digests(project: ProjectFolder, settings: ProjectSettings) -> list[str]:
    """Digests of the source files and of what is joined to them.

    Raises:
        ProjectError: a source is not where the project file says.
    """
    sources = settings.data.source_files()
    paths = [sources.train, sources.validation, sources.test]
    digests = []
    for name in [*paths, *(join.source for join in settings.data.join)]:
        if name is None:
            continue
        try:
            digests.append(table_digest(resolve_address(name, project.root)))
        except DataError as error:
            raise ProjectError(
                "the data of the project is not where its file says",
                detail=f"data.source: {name} ({error.what}; {error.detail})",
                hint="make sure that it is there, or set data.source to where it is",
            ) from error
    return digests


def backbone_digests(project: ProjectFolder, settings: ProjectSettings) -> list[str]:
    """Digests of the pretrained networks and bundles that encoders begin with, where they lie here.

    What packages bring, or a hub, is known by its name.
    """
    column_options = [column.options() for column in settings.data.columns.values()]
    encoder_options = [
        *column_options,
        *(
            options
            for options in settings.model.kind_options().values()
            if isinstance(options, dict)
        ),
    ]
    names = {
        str(options["encoder"])
        for options in encoder_options
        if isinstance(options.get("encoder"), str)
    }
    with use_base_folder(project.root):
        digests = [content_digest(name) for name in sorted(names)]
    return [backbone_digest for backbone_digest in digests if backbone_digest is not None]


def fixable_findings(
    findings: list[Finding], settings: ProjectSettings, tried_fixes: set[str] | None
) -> list[Finding]:
    """Findings that stop or warn, are not accepted, and have fixes that were not tried yet."""
    if tried_fixes is None:
        return []
    skipped_names = tried_fixes | set(settings.audit.accept)
    return [
        finding
        for finding in findings
        if finding.fixes and finding.severity != "tip" and finding.accept_key not in skipped_names
    ]


def raise_if_blocked(findings: list[Finding], settings: ProjectSettings) -> None:
    """Hold the run while a finding of severity "stop" is not accepted by name.

    Raises:
        HeldError: there is such a finding.
    """
    blocking = [
        finding
        for finding in findings
        if finding.severity == "stop" and finding.accept_key not in settings.audit.accept
    ]
    if blocking:
        raise BlockedByFindingsError(
            f"{len(blocking)} finding{'s hold' if len(blocking) > 1 else ' holds'} the run",
            detail="\n        ".join(
                f"{finding.title} [{finding.accept_key}]" for finding in blocking
            ),
            hint="use --fix to let the tool mend "
            + ("them" if len(blocking) > 1 else "it")
            + f" ({'; '.join(edit.describe() for finding in blocking for edit in finding.fixes)}), or accept by name: "
            f"audit.accept: [{', '.join(finding.accept_key for finding in blocking)}]",
        )


@contextmanager
def project_lock(project: ProjectFolder) -> Iterator[None]:
    """Make sure that no other run is at work in the project.

    Raises:
        ProjectError: one is.
    """
    with files.try_lock(project.root / ".lock") as is_acquired:
        if not is_acquired:
            raise ProjectError(
                "another run is at work in this project",
                detail=f"{project.root / '.lock'} is locked",
                hint="wait until it ends, or use another --dir",
            )
        remove_leftovers(project)
        yield


def remove_leftovers(project: ProjectFolder) -> None:
    """Remove what a killed process left behind between writing and renaming."""
    for path in [*project.root.glob(".*.tmp"), *project.root.glob("runs/*/.*.old")]:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
