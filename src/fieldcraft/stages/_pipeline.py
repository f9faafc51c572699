"""The pipeline: steps, their keys, and the runner that skips what is up to date.

The key of a step is a digest of everything its result depends on: source files, sections of the
project file, versions of stages, and the keys of the steps before it. A step whose folder
``runs/<step>/<key>`` exists is up to date.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fieldcraft.contracts import Stage
from fieldcraft.core import catalog, digest, extras, files
from fieldcraft.core.errors import (
    BlockedByFindingsError,
    DataError,
    PluginError,
    ProjectError,
    RunCancelledError,
    did_you_mean,
)
from fieldcraft.core.executor import make_executor
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
    """A stage with the steps that it depends on."""

    name: str
    stage: str
    depends_on: tuple[str, ...] = ()


STEPS = (
    Step("audit", "audit"),
    Step("split", "split"),
    Step("audit-split", "audit", ("split",)),
    Step("baseline", "baseline", ("split",)),
    Step("train", "train", ("split",)),
    Step("ensemble", "ensemble", ("split", "baseline", "train")),
    Step("evaluate", "evaluate", ("split", "baseline", "train", "ensemble")),
    Step("explain", "explain", ("split", "baseline", "train", "ensemble", "evaluate")),
    Step("package", "package", ("split", "baseline", "train", "ensemble", "evaluate", "explain")),
)


# Estimates for --dry-run where a step has not run yet: seconds for a table of any size, and seconds
# per row, measured on two cores.
STEP_COST_SECONDS = {
    "audit": (2.0, 5e-5),
    "split": (0.5, 3e-5),
    "audit-split": (1.0, 5e-5),
    "baseline": (4.0, 3e-4),
    "train": (25.0, 6e-3),
    "ensemble": (0.2, 1e-6),
    "evaluate": (3.0, 2e-4),
    "explain": (5.0, 0.0),
    "package": (12.0, 1e-5),
}
MAX_COUNTED_ROWS = 1_000_000  # stages sample larger tables, so the time stops growing


class RunCallbacks(Protocol):
    """Callbacks notified of the progress of a run."""

    def on_step_start(self, step: str) -> None:
        """A step starts."""

    def on_progress(self, step: str, message: str, fraction: float | None) -> None:
        """A step reports progress."""

    def on_epoch_end(self, step: str, epoch: int, metrics: Mapping[str, float]) -> bool:
        """A training has finished an epoch; True stops it."""

    def is_cancelled(self) -> bool:
        """Whether the run is to end; asked whenever a step reports progress."""

    def on_step_end(self, step: str, seconds: float, summary: Json) -> None:
        """A step has finished."""

    def on_step_skip(self, step: str) -> None:
        """A step is up to date."""

    def on_fix(self, finding: Finding) -> None:
        """A finding was fixed in the project file."""


@dataclass
class RunResult:
    """The folders, summaries and findings of a run, by step."""

    folders: dict[str, Path] = field(default_factory=dict)
    summaries: dict[str, Json] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def run_steps(
    project: ProjectFolder, callbacks: RunCallbacks, until: str | None = None, fix: bool = False
) -> RunResult:
    """Run all steps up to a stage, except those that are up to date.

    Args:
        project: the project.
        callbacks: notified of progress.
        until: name of the last stage; all stages if None.
        fix: apply the fixes of errors and warnings, then start over.

    Raises:
        BlockedByFindingsError: a finding of severity "error" is neither fixed nor accepted.
        ProjectError: another run is in progress in the project.
    """
    extras.require_extra("train")
    require_known_stage(until)
    result = RunResult()
    with project_lock(project):
        for settings, step, key in iter_steps(project, callbacks, until, fix, result):
            run_step(project, settings, step, key, result, callbacks)
    return result


def require_known_stage(name: str | None) -> None:
    """Check the name of the last stage of a run.

    Raises:
        PluginError: no step of a run is of this stage.
    """
    stage_names = {step.stage for step in STEPS}
    if name is not None and name not in stage_names:
        raise PluginError(
            f"{name!r} is not a stage of a run",
            detail=f"--until {name}",
            hint=did_you_mean(name, stage_names),
        )


def apply_fix(project: ProjectFolder, finding: Finding) -> None:
    """Apply the fixes of a finding to the project file and record them."""
    project_file.apply_edits(project.file_path, finding.fixes)
    edits = [edit.describe() for edit in finding.fixes]
    body = {"decision": "fixed", "finding": finding.accept_key, "edits": edits}
    Ledger(project.ledger_path).append([("decision", "audit", "", body)])


def iter_steps(
    project: ProjectFolder,
    callbacks: RunCallbacks,
    until: str | None,
    fix: bool,
    result: RunResult,
) -> Iterator[tuple[ProjectSettings, Step, str]]:
    """Yield the steps to run, with their keys; start over from the first one after fixes.

    The caller runs each step before it asks for the next one; the findings of an audit are read
    at that point.

    Raises:
        BlockedByFindingsError: a finding of severity "error" is neither fixed nor accepted.
    """
    tried_fixes: set[str] = set()
    is_complete = False
    while not is_complete:
        settings = project.load_settings()
        result.folders, result.summaries, result.findings = {}, {}, []
        is_complete = True
        for step, key in step_keys(project, settings, until):
            yield settings, step, key
            if step.stage != "audit":
                continue
            findings = load_findings(result.folders[step.name])
            result.findings += findings
            fixable = fixable_findings(findings, settings, tried_fixes) if fix else []
            if fixable:
                for finding in fixable:
                    apply_fix(project, finding)
                    callbacks.on_fix(finding)
                # A fix that does not remove its finding must not be applied again and again.
                tried_fixes |= {finding.accept_key for finding in fixable}
                is_complete = False
                break
            raise_if_blocked(findings, settings)


def step_keys(
    project: ProjectFolder, settings: ProjectSettings, until: str | None
) -> list[tuple[Step, str]]:
    """The steps up to a stage with their keys.

    Steps without inputs depend on the source files; the others depend on them through the keys of
    their inputs.
    """
    # A stage may have several steps (audit): the run ends after the last of them.
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
    """A step of a dry run.

    Attributes:
        name: name of the step.
        done: whether it is up to date.
        seconds: duration of the last run, else an estimate; None if it is up to date.
    """

    name: str
    done: bool
    seconds: float | None


def plan_run(project: ProjectFolder, until: str | None = None) -> list[PlannedStep]:
    """The steps that a run would take, without running them."""
    settings, ledger = project.load_settings(), Ledger(project.ledger_path)
    rows = count_source_rows(project, settings)
    planned = []
    for step, key in step_keys(project, settings, until):
        if project.run_folder(step.name, key).exists():
            planned.append(PlannedStep(step.name, True, None))
            continue
        last_run = ledger.last("step_completed", step.name)
        expected_seconds = (
            float(last_run.body["seconds"]) if last_run else estimate_seconds(step.name, rows)
        )
        # The budget is an upper bound: training usually stops early.
        time_budget = settings.train.time_budget if step.name == "train" else None
        planned.append(
            PlannedStep(step.name, False, min(expected_seconds, time_budget or expected_seconds))
        )
    return planned


def count_source_rows(project: ProjectFolder, settings: ProjectSettings) -> int:
    """The number of rows of the training file."""
    source = resolve_address(settings.data.source_files().train, project.root)
    return int(read_table(source, settings.data.column_names).frame.height)


def estimate_seconds(step: str, rows: int) -> float:
    """Estimated duration of a step."""
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
    """Run one step unless it is up to date; add its folder and summary to the result."""
    stage: Stage = catalog.load_plugin("stages", step.stage)
    ledger = Ledger(project.ledger_path)
    folder = project.run_folder(step.name, key)
    partial_folder = project.partial_folder(step.name, key)
    run_result.folders[step.name] = folder
    if folder.exists():
        result = files.read_json(folder / "result.json")
        # A crash after the rename below leaves a folder that the ledger does not know.
        if ledger.last("step_completed", step.name, key) is None:
            record_done(project, step, key, folder, result)
        run_result.summaries[step.name] = result["summary"]
        callbacks.on_step_skip(step.name)
        return
    callbacks.on_step_start(step.name)
    start = time.monotonic()
    # The partial folder of an interrupted run is kept: stages resume from what is in it.
    partial_folder.mkdir(parents=True, exist_ok=True)
    records: list[tuple[str, Json]] = []
    step_callbacks = StepCallbacks(step.name, callbacks)
    context = StageContext(
        project=project,
        settings=settings,
        inputs={name: run_result.folders[name] for name in step.depends_on},
        out=partial_folder,
        previous=latest_folders(project).get(step.name),
        log_record=lambda kind, body: records.append((kind, body)),
        on_progress=step_callbacks.on_progress,
        on_epoch_end=step_callbacks.on_epoch_end,
        executor=make_executor(settings.train.workers),
    )
    with use_base_folder(project.root), recorded_cancellation(project, step, key):
        summary = stage.run(context)
    seconds = round(time.monotonic() - start, 3)
    result = {"summary": summary, "records": records, "seconds": seconds}
    # The records are stored with the output before the rename, and reach the ledger after it. A
    # crash in between leaves a finished folder without an entry, which the next run adds.
    files.atomic_write_json(partial_folder / "result.json", result)
    files.replace_folder(partial_folder, folder)
    record_done(project, step, key, folder, result)
    run_result.summaries[step.name] = summary
    callbacks.on_step_end(step.name, seconds, summary)


@dataclass(frozen=True)
class StepCallbacks:
    """The callbacks of a run for one of its steps; they raise once the run is cancelled."""

    step: str
    callbacks: RunCallbacks

    def on_progress(self, message: str, fraction: float | None) -> None:
        """Report progress."""
        self.raise_if_cancelled()
        self.callbacks.on_progress(self.step, message, fraction)

    def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Report an epoch; True stops the training."""
        self.raise_if_cancelled()
        return self.callbacks.on_epoch_end(self.step, epoch, metrics)

    def raise_if_cancelled(self) -> None:
        """End the step if the run is cancelled.

        Raises:
            RunCancelledError: the run is cancelled.
        """
        if self.callbacks.is_cancelled():
            raise RunCancelledError(
                "the run was cancelled",
                detail=f"in the step {self.step!r}",
                hint="run again to resume where it stopped",
            )


@contextmanager
def recorded_cancellation(project: ProjectFolder, step: Step, key: str) -> Iterator[None]:
    """Record in the ledger that a step was cancelled, by its callbacks or by Ctrl+C."""
    start = time.monotonic()
    try:
        yield
    except (KeyboardInterrupt, RunCancelledError):
        body = {"seconds": round(time.monotonic() - start, 3)}
        Ledger(project.ledger_path).append([("step_cancelled", step.name, key, body)])
        raise


def record_done(
    project: ProjectFolder, step: Step, key: str, folder: Path, result: Mapping[str, Any]
) -> None:
    """Add the records of a step and its completion to the ledger in one transaction."""
    entries = [(kind, step.name, key, body) for kind, body in result["records"]]
    body = {
        "summary": result["summary"],
        "seconds": result["seconds"],
        "folder_digest": digest.of_json(digest.of_folder(folder)),
        **({"trial": True} if project.trial_file else {}),
    }
    Ledger(project.ledger_path).append([*entries, ("step_completed", step.name, key, body)])


def latest_folders(project: ProjectFolder) -> dict[str, Path]:
    """The folder of the last run of each step.

    Publishing a bundle makes the steps that produced it the last ones, so that a rollback also
    rolls back the report. Runs of challengers that were not promoted do not count.
    """
    folders: dict[str, Path] = {}
    for entry in Ledger(project.ledger_path).entries():
        if entry.kind == "step_completed" and not entry.body.get("trial"):
            folders[entry.stage] = project.run_folder(entry.stage, entry.key)
        elif entry.body.get("decision") == "published":
            folders |= {
                name: project.run_folder(name, key) for name, key in entry.body["steps"].items()
            }
    return {name: folder for name, folder in folders.items() if folder.exists()}


def source_digests(project: ProjectFolder, settings: ProjectSettings) -> list[str]:
    """Digests of the source files and the joined tables.

    Raises:
        ProjectError: a source cannot be read.
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
                "the data of the project cannot be read",
                detail=f"data.source: {name} ({error.what}; {error.detail})",
                hint="restore the file, or set data.source to its path",
            ) from error
    return digests


def backbone_digests(project: ProjectFolder, settings: ProjectSettings) -> list[str]:
    """Digests of the local backbones and bundles that encoders are initialized from.

    Weights from a package or a model hub are identified by their name, which is in the settings.
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
    findings: list[Finding], settings: ProjectSettings, tried_fixes: set[str]
) -> list[Finding]:
    """Errors and warnings that are not accepted and have a fix that has not been tried yet."""
    skipped_names = tried_fixes | set(settings.audit.accept)
    return [
        finding
        for finding in findings
        if finding.fixes and finding.severity != "info" and finding.accept_key not in skipped_names
    ]


def raise_if_blocked(findings: list[Finding], settings: ProjectSettings) -> None:
    """Block the run while a finding of severity "error" is not accepted.

    Raises:
        BlockedByFindingsError: there is such a finding.
    """
    blocking = [
        finding
        for finding in findings
        if finding.severity == "error" and finding.accept_key not in settings.audit.accept
    ]
    if not blocking:
        return
    edits = [edit.describe() for finding in blocking for edit in finding.fixes]
    pronoun = "them" if len(blocking) > 1 else "it"
    # A finding without a fix needs a person to decide: --fix would not help.
    fix_hint = f"use --fix to fix {pronoun} ({'; '.join(edits)}), or " if edits else ""
    raise BlockedByFindingsError(
        f"{len(blocking)} finding{'s block' if len(blocking) > 1 else ' blocks'} the run",
        detail="\n        ".join(f"{finding.title} [{finding.accept_key}]" for finding in blocking),
        hint=f"{fix_hint}accept {pronoun} by name: audit.accept: "
        f"[{', '.join(finding.accept_key for finding in blocking)}]",
    )


@contextmanager
def project_lock(project: ProjectFolder) -> Iterator[None]:
    """Lock the project for one run.

    Raises:
        ProjectError: another run holds the lock.
    """
    with files.try_lock(project.root / ".lock") as is_acquired:
        if not is_acquired:
            raise ProjectError(
                "another run is in progress in this project",
                detail=f"{project.root / '.lock'} is locked",
                hint="wait until it ends, or use another --dir",
            )
        remove_leftovers(project)
        yield


def remove_leftovers(project: ProjectFolder) -> None:
    """Remove files and folders that a killed process left between writing and renaming.

    Safe only under the project lock: they might belong to a running process otherwise.
    """
    for path in [*project.root.glob(".*.tmp"), *project.root.glob("runs/*/.*.old")]:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
