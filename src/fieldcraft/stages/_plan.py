"""The plan: which step reads what, what is done already, and what holds the run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fieldcraft.contracts import Json, Stage
from fieldcraft.core import catalogue, digest, files
from fieldcraft.core.errors import DataError, HeldError, PlugError, ProjectError, near
from fieldcraft.data.read import digest_of, located, read_table
from fieldcraft.data.weights import content_digest, starting_at
from fieldcraft.develop.checking import kept
from fieldcraft.evidence.ledger import Ledger
from fieldcraft.evidence.records import Finding
from fieldcraft.project import file
from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Settings
from fieldcraft.project.work import Work


@dataclass(frozen=True)
class Step:
    """A stage at its place in the flow."""

    name: str
    stage: str
    after: tuple[str, ...] = ()


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


COSTS = {  # seconds for any table, and for each row
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
MOST_COUNTED = 1_000_000  # rows


class Watcher(Protocol):
    """Whoever wants to see how a run goes."""

    def started(self, step: str) -> None:
        """A step begins."""

    def said(self, step: str, text: str, share: float | None) -> None:
        """A step says how far it is."""

    def finished(self, step: str, seconds: float, summary: Json) -> None:
        """A step is done."""

    def skipped(self, step: str) -> None:
        """A step was done already."""

    def fixed(self, finding: Finding) -> None:
        """A finding was mended in the project file."""


@dataclass
class Outcome:
    """Where the results of a run lie, and what each step said in short."""

    folders: dict[str, Path] = field(default_factory=dict)
    summaries: dict[str, Json] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def run(project: Folder, watcher: Watcher, until: str | None = None, fix: bool = False) -> Outcome:
    """Run every step up to a stage that is not done already.

    Args:
        project: the project.
        watcher: told what happens.
        until: name of the last stage wanted; all if None.
        fix: apply the fixes of findings that stop or warn, then look again.

    Raises:
        HeldError: a finding of severity "stop" is neither fixed nor accepted.
        ProjectError: another run is at work in the project.
    """
    wanted = {step.stage for step in STEPS}
    if until is not None and until not in wanted:
        raise PlugError(
            f"{until!r} is not a stage of a run",
            seen=f"--until {until}",
            way_out=near(until, wanted),
        )
    tried: set[str] | None = set() if fix else None
    with alone(project):
        while True:
            outcome, repairs = one_pass(project, watcher, until, tried)
            if not repairs:
                return outcome
            for finding in repairs:
                mend(project, finding)
                watcher.fixed(finding)
            tried = (tried or set()) | {finding.name for finding in repairs}


def mend(project: Folder, finding: Finding) -> None:
    """Apply the fixes of a finding to the project file, on the record."""
    file.edit(project.file, finding.fixes)
    words = [change.in_words() for change in finding.fixes]
    body = {"decision": "fixed", "finding": finding.name, "edits": words}
    Ledger(project.ledger).append([("decision", "audit", "", body)])


def one_pass(
    project: Folder, watcher: Watcher, until: str | None, tried: set[str] | None
) -> tuple[Outcome, list[Finding]]:
    """Go through the steps once, or up to findings that are to be fixed first.

    Findings whose fixes were tried before are not fixed again; without a set of those, none are.
    """
    settings = project.settings()
    outcome = Outcome()
    for step, key in keyed(project, settings, until):
        run_step(project, settings, step, key, outcome, watcher)
        if step.stage == "audit":
            found = kept(outcome.folders[step.name])
            outcome.findings += found
            repairs = repairable(found, settings, tried)
            if repairs:
                return outcome, repairs
            hold(found, settings)
    return outcome, []


def keyed(project: Folder, settings: Settings, until: str | None) -> list[tuple[Step, str]]:
    """The steps up to a stage, each with the digest of everything that its result depends on."""
    last = max((i for i, step in enumerate(STEPS) if until in (None, step.stage)), default=0)
    sources = source_digests(project, settings) + network_digests(project, settings)
    keys: dict[str, str] = {}
    for step in STEPS[: last + 1]:
        stage: Stage = catalogue.load("stages", step.stage)
        inputs = [keys[name] for name in step.after] or sources
        said = settings.digest(stage.sections)
        keys[step.name] = digest.of_json([step.name, stage.version, said, inputs])
    return [(step, keys[step.name]) for step in STEPS[: last + 1]]


@dataclass(frozen=True)
class Planned:
    """A step that a run would take: whether it is done already, and else about how long it takes.

    Attributes:
        name: of the step.
        done: nothing that it depends on has changed since it was run.
        seconds: what it took last time, else what such tables take; None if it is done.
    """

    name: str
    done: bool
    seconds: float | None


def forecast(project: Folder, until: str | None = None) -> list[Planned]:
    """What a run would do, without doing it."""
    settings, ledger = project.settings(), Ledger(project.ledger)
    rows = rows_of(project, settings)
    found = []
    for step, key in keyed(project, settings, until):
        if project.run(step.name, key).exists():
            found.append(Planned(step.name, True, None))
            continue
        before = ledger.last("done", step.name)
        taken = float(before.body["seconds"]) if before else guess_seconds(step.name, rows)
        limit = settings.train.budget if step.name == "train" else None
        found.append(Planned(step.name, False, min(taken, limit or taken)))
    return found


def rows_of(project: Folder, settings: Settings) -> int:
    """How many rows the source has."""
    source = located(settings.data.sources().train, project.root)
    return int(read_table(source, settings.data.names).frame.height)


def guess_seconds(step: str, rows: int) -> float:
    """What a step takes on two cores, from tables measured: docs/benchmarks.md."""
    fixed, each = COSTS[step]
    return fixed + each * min(rows, MOST_COUNTED)


def run_step(
    project: Folder,
    settings: Settings,
    step: Step,
    key: str,
    outcome: Outcome,
    watcher: Watcher,
) -> None:
    """Run one step unless it is done; put its folder and summary into the outcome."""
    stage: Stage = catalogue.load("stages", step.stage)
    ledger = Ledger(project.ledger)
    final, partial = project.run(step.name, key), project.partial(step.name, key)
    outcome.folders[step.name] = final
    if final.exists():
        result = files.read_json(final / "outcome.json")
        if ledger.last("done", step.name, key) is None:  # killed just before the last line
            close(project, step, key, final, result)
        outcome.summaries[step.name] = result["summary"]
        watcher.skipped(step.name)
        return
    watcher.started(step.name)
    begun = time.monotonic()
    partial.mkdir(parents=True, exist_ok=True)
    records: list[tuple[str, Json]] = []
    work = Work(
        project=project,
        settings=settings,
        inputs={name: outcome.folders[name] for name in step.after},
        out=partial,
        previous=standing(project).get(step.name),
        record=lambda kind, body: records.append((kind, body)),
        progress=lambda text, share: watcher.said(step.name, text, share),
    )
    with starting_at(project.root):
        summary = stage.run(work)
    seconds = round(time.monotonic() - begun, 3)
    result = {"summary": summary, "records": records, "seconds": seconds}
    files.write_json(partial / "outcome.json", result)
    files.commit_folder(partial, final)
    close(project, step, key, final, result)
    outcome.summaries[step.name] = summary
    watcher.finished(step.name, seconds, summary)


def close(project: Folder, step: Step, key: str, final: Path, result: Mapping[str, Any]) -> None:
    """Write what a step found, and that it is done, into the ledger in one piece."""
    entries = [(kind, step.name, key, body) for kind, body in result["records"]]
    body = {
        "summary": result["summary"],
        "seconds": result["seconds"],
        "folder": digest.of_json(digest.of_folder(final)),
        **({"trial": True} if project.trial else {}),
    }
    Ledger(project.ledger).append([*entries, ("done", step.name, key, body)])


def standing(project: Folder) -> dict[str, Path]:
    """The folder of each step as it was done last, or as the current bundle was made.

    What challengers have left that were not promoted does not count.
    """
    found: dict[str, Path] = {}
    for entry in Ledger(project.ledger).entries():
        if entry.kind == "done" and not entry.body.get("trial"):
            found[entry.stage] = project.run(entry.stage, entry.key)
        elif entry.body.get("decision") == "published":
            found |= {name: project.run(name, key) for name, key in entry.body["steps"].items()}
    return {name: folder for name, folder in found.items() if folder.exists()}


def source_digests(project: Folder, settings: Settings) -> list[str]:
    """Digests of the source files and of what is joined to them.

    Raises:
        ProjectError: a source is not where the project file says.
    """
    sources = settings.data.sources()
    named = [sources.train, sources.validation, sources.test]
    found = []
    for name in [*named, *(join.source for join in settings.data.join)]:
        if name is None:
            continue
        try:
            found.append(digest_of(located(name, project.root)))
        except DataError as error:
            raise ProjectError(
                "the data of the project is not where its file says",
                seen=f"data.source: {name} ({error.what}; {error.seen})",
                way_out="make sure that it is there, or set data.source to where it is",
            ) from error
    return found


def network_digests(project: Folder, settings: Settings) -> list[str]:
    """Digests of the pretrained networks and bundles that encoders begin with, where they lie here.

    What packages bring, or a hub, is known by its name.
    """
    own = [column.options() for column in settings.data.columns.values()]
    said = [*own, *(part for part in settings.model.kinds().values() if isinstance(part, dict))]
    names = {str(part["encoder"]) for part in said if isinstance(part.get("encoder"), str)}
    with starting_at(project.root):
        found = [content_digest(name) for name in sorted(names)]
    return [one for one in found if one is not None]


def repairable(found: list[Finding], settings: Settings, tried: set[str] | None) -> list[Finding]:
    """Findings that stop or warn, are not accepted, and have fixes that were not tried yet."""
    if tried is None:
        return []
    passed = tried | set(settings.audit.accept)
    return [f for f in found if f.fixes and f.severity != "tip" and f.name not in passed]


def hold(found: list[Finding], settings: Settings) -> None:
    """Hold the run while a finding of severity "stop" is not accepted by name.

    Raises:
        HeldError: there is such a finding.
    """
    held = [f for f in found if f.severity == "stop" and f.name not in settings.audit.accept]
    if held:
        raise HeldError(
            f"{len(held)} finding{'s hold' if len(held) > 1 else ' holds'} the run",
            seen="\n        ".join(f"{f.title} [{f.name}]" for f in held),
            way_out="use --fix to let the tool mend "
            + ("them" if len(held) > 1 else "it")
            + f" ({'; '.join(c.in_words() for f in held for c in f.fixes)}), or accept by name: "
            f"audit.accept: [{', '.join(f.name for f in held)}]",
        )


@contextmanager
def alone(project: Folder) -> Iterator[None]:
    """Make sure that no other run is at work in the project.

    Raises:
        ProjectError: one is.
    """
    with files.lock(project.root / ".lock") as free:
        if not free:
            raise ProjectError(
                "another run is at work in this project",
                seen=f"{project.root / '.lock'} is locked",
                way_out="wait until it ends, or use another --dir",
            )
        clear_old(project)
        yield


def clear_old(project: Folder) -> None:
    """Remove what a killed process left behind between writing and renaming."""
    for path in [*project.root.glob(".*.tmp"), *project.root.glob("runs/*/.*.old")]:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
