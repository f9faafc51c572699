"""Gather what the records of a project say, for the report, the model card and the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fieldcraft.contracts import Json
from fieldcraft.core import files
from fieldcraft.core.words import figure, sentence
from fieldcraft.develop.checking import kept
from fieldcraft.evidence.ledger import Entry, Ledger
from fieldcraft.evidence.records import SEVERITIES, Finding
from fieldcraft.project.folder import Folder
from fieldcraft.project.settings import Settings

WIDE = 0.2  # of an interval, as a share of its figure
OFF = 0.05  # of probabilities, on average
FEW = 0.5  # of the positives found


@dataclass(frozen=True)
class Story:
    """A project as its records tell it; parts that have not happened yet are empty."""

    project: Folder
    settings: Settings
    folders: Mapping[str, Path]
    findings: list[Finding] = field(default_factory=list)
    profile: Json = field(default_factory=dict)
    split: Json = field(default_factory=dict)
    evaluation: Json = field(default_factory=dict)
    importance: list[Json] = field(default_factory=list)
    kinds: list[Json] = field(default_factory=list)
    explained: list[Json] = field(default_factory=list)
    curves: list[Json] = field(default_factory=list)
    augmented: list[Json] = field(default_factory=list)
    package: Json = field(default_factory=dict)
    openings: list[Json] = field(default_factory=list)
    final: Json = field(default_factory=dict)
    fixes: list[Json] = field(default_factory=list)
    head: str = ""

    @property
    def name(self) -> str:
        """The name of the project: that of its folder."""
        return self.project.root.resolve().name

    @property
    def champion(self) -> Json:
        """The champion as the evaluation describes it."""
        learners = self.evaluation.get("learners", [])
        return next((x for x in learners if x["name"] == self.evaluation["champion"]), {})

    @property
    def rows(self) -> int:
        """How many rows were read."""
        return int(self.profile.get("rows", 0))

    def open_findings(self) -> list[Finding]:
        """Findings that were not accepted by name, the worst first."""
        return [f for f in self.findings if f.name not in self.settings.audit.accept]


def tell(project: Folder, folders: Mapping[str, Path]) -> Story:
    """Read the records of the steps whose folders are given."""
    entries = Ledger(project.ledger).entries()
    split = read(folders, "split", "about.json")
    test = split.get("digests", {}).get("test")
    finals = [e.body for e in entries if e.kind == "final" and e.body["test"] == test]
    return Story(
        project=project,
        settings=project.settings(),
        folders=folders,
        findings=findings_of(folders),
        profile=read(folders, "audit", "profile.json"),
        split=split,
        evaluation=read(folders, "evaluate", "evaluation.json"),
        importance=listed(folders, "explain", "importance.json"),
        kinds=listed(folders, "explain", "kinds.json"),
        explained=listed(folders, "explain", "explained.json"),
        curves=training_curves(folders),
        augmented=listed(folders, "train", "augmented.json"),
        package=read(folders, "package", "outcome.json").get("summary", {}),
        openings=openings_of(entries, test),
        final=dict(finals[-1]) if finals else {},
        fixes=[dict(e.body) for e in entries if e.body.get("decision") == "fixed"],
        head=entries[-1].hash if entries else "",
    )


def listed(folders: Mapping[str, Path], step: str, name: str) -> list[Json]:
    """A list in a JSON file of a step, such as what shuffling each column costs."""
    path = folders[step] / name if step in folders else None
    return list(files.read_json(path)) if path and path.exists() else []


def findings_of(folders: Mapping[str, Path]) -> list[Finding]:
    """What the audits and the checks of the champion found, as far as they ran, worst first."""
    steps = [folders[name] for name in ("audit", "audit-split", "evaluate") if name in folders]
    found = [finding for folder in steps for finding in kept(folder)]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def openings_of(entries: Sequence[Entry], test: str | None) -> list[Json]:
    """The openings of a test set, oldest first."""
    opened = [e for e in entries if e.kind == "opening" and e.body["test"] == test]
    return [{"at": e.at, **e.body} for e in opened]


def read(folders: Mapping[str, Path], step: str, name: str) -> Json:
    """A JSON file of a step, or nothing if the step has not run."""
    path = folders[step] / name if step in folders else None
    found: Any = files.read_json(path) if path and path.exists() else {}
    return dict(found)


def training_curves(folders: Mapping[str, Path]) -> list[Json]:
    """Losses of each epoch, of every member of the trained model that has them."""
    if "train" not in folders:
        return []
    states = sorted(folders["train"].glob("*/*/model.json"))
    curves = [files.read_json(path).get("curves") for path in states]
    return [curve for curve in curves if curve]


def fixes_of(finding: Finding) -> str:
    """The edits that mend a finding, in one line."""
    return "; ".join(edit.in_words() for edit in finding.fixes)


def headline(story: Story) -> str:
    """The first thing to know: is there a model, is it better than guessing and good enough."""
    if not story.evaluation:
        return "Nothing has been evaluated yet."
    said = [story.evaluation["sentence"]]
    bar = story.evaluation["bar"]
    if bar:
        said.append(f"The bar of {figure(bar['wanted'])} is {bar['verdict']}.")
    return " ".join(said)


def seal_state(story: Story) -> str:
    """Whether the test set is still sealed, in one sentence."""
    rows = story.split.get("counts", {}).get("test", 0)
    if not rows:
        return "There is no test set."
    if not story.openings:
        return f"Sealed: {rows:,} test rows have never been looked at."
    count = len(story.openings)
    times = "once" if count == 1 else f"{count} times"
    warning = "" if count == 1 else "; figures on it are no longer those of unseen data"
    return f"Opened {times}, last on {story.openings[-1]['at'][:10]} ({rows:,} rows){warning}."


def next_steps(story: Story) -> list[str]:
    """What to do next, the most useful first."""
    found = []
    stops = [f for f in story.open_findings() if f.severity in ("stop", "warn")]
    if stops:
        first = sentence(stops[0].title) + " " + sentence(stops[0].advice)
        found.append(f"Look at the findings, first: {first}")
    if story.evaluation:
        found += advice_on_model(story)
    if story.package and not story.openings and story.split.get("counts", {}).get("test"):
        found.append(
            "When no more choices are to be made, open the seal: fieldcraft evaluate --final"
        )
    if story.package:
        found.append("Use the model: fieldcraft predict NEW.csv -o OUT.csv")
    return found


def advice_on_model(story: Story) -> list[str]:
    """What the evaluation and the curves suggest."""
    found = []
    champion, learners = story.champion, story.evaluation["learners"]
    if champion["complexity"] == min(x["complexity"] for x in learners):
        found.append("No model beats guessing: look for columns that tell more about the target.")
    width = relative_width(story)
    if width is not None and width > WIDE:
        found.append(
            f"The interval is wide (±{width / 2:.0%} of the figure): more rows would tell more."
        )
    fit = story.evaluation["fitness"]
    if fit and fit["verdict"] != "good":
        found.append(f"The network is {fit['verdict']}: {fit['reason']}; {fit['step']}.")
    found += advice_on_use(story)
    return found


def advice_on_use(story: Story) -> list[str]:
    """What to mind before the champion is put to work."""
    found = []
    measures = story.champion["measures"]
    error = measures.get("calibration_error", {}).get("value") or 0
    if error > OFF:
        found.append(f"Probabilities are off by {error:.1%} on average: use them with care.")
    missed = measures.get("recall", {}).get("value")
    if missed is not None and missed < FEW and not story.settings.problem.threshold:
        found.append(
            f"Only {missed:.0%} of the positives are called positive: set problem.threshold "
            "(f1, or a probability) or problem.costs if missing them costs more."
        )
    found += [
        f"{gap['title']} differs between {gap['column']} {gap['highest']} and {gap['lowest']} by "
        f"{figure(gap['value'])} (at least {figure(gap['low'])}): find out why before people are "
        "judged by it."
        for gap in widest_gaps(story)
    ]
    found += [
        f"Over its limit: {text}." for text in story.package.get("limits", {}).get("broken", [])
    ]
    return found


def widest_gaps(story: Story) -> list[Json]:
    """The gap in the main metric between groups of each column, where it is surely there."""
    metric, found = story.evaluation["metric"], []
    for item in story.evaluation["groups"]:
        gap = item["gaps"].get(metric)
        if gap and gap["low"] is not None and gap["low"] > 0:
            title = item["metrics"][metric]
            found.append({"column": item["column"], "title": title, **gap})
    return found


def relative_width(story: Story) -> float | None:
    """Width of the champion's interval as a share of its figure."""
    main = story.champion["measures"][story.evaluation["metric"]]
    if main["value"] is None or main["low"] is None or not main["value"]:
        return None
    return float((main["high"] - main["low"]) / abs(main["value"]))
