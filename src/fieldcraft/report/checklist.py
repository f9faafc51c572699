"""What whoever answers for a model should be able to say, filled from the records where it can be.

The questions follow the functions of the NIST AI Risk Management Framework (2023): what the model
is for, what it was made from, how it was measured, and how it is looked after.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fieldcraft.core.words import figure, joined, listed, plural
from fieldcraft.report.story import Story, seal_state, widest_gaps


@dataclass(frozen=True)
class Item:
    """A question, the answer, and whether the records gave it, the owner did, or nobody has yet."""

    topic: str
    question: str
    answer: str
    by: str

    @property
    def is_open(self) -> bool:
        """Whether somebody must still answer."""
        return self.by == "nobody"


def items(story: Story) -> list[Item]:
    """The whole checklist of a project, topic by topic."""
    return [*purpose(story), *data(story), *measurement(story), *people(story), *care(story)]


def told(topic: str, question: str, answer: str) -> Item:
    """A question that the records answer."""
    return Item(topic, question, answer, "records")


def asked(topic: str, question: str, answer: str, name: str) -> Item:
    """A question that only the owner can answer, in the section ``card`` of the project file."""
    if answer.strip():
        return Item(topic, question, answer.strip(), "owner")
    return Item(topic, question, f"Not answered: set card.{name} in the project file.", "nobody")


def purpose(story: Story) -> Iterator[Item]:
    """What the model is for."""
    card, problem = story.settings.card, story.settings.problem
    yield told("Purpose", "What does the model predict?", problem.question)
    yield asked("Purpose", "Who answers for it?", card.owner, "owner")
    yield asked("Purpose", "For which decisions may it be used?", card.use, "use")
    yield asked("Purpose", "For what must it not be used?", card.misuse, "misuse")


def data(story: Story) -> Iterator[Item]:
    """What the model was made from."""
    card, sources = story.settings.card, story.settings.data.sources()
    named = joined([name for name in (sources.train, sources.validation, sources.test) if name])
    digest = story.split.get("digests", {}).get("develop", "")
    yield told(
        "Data", "What was it made from?", f"{story.rows:,} rows of {named}, digest {digest[:16]}."
    )
    yield asked("Data", "By what right may this data be used for it?", card.rights, "rights")
    serious = [f for f in story.findings if f.severity != "tip"]
    accepted = [f.name for f in serious if f.name in story.settings.audit.accept]
    found = (
        plural(len(serious), "serious finding") + f" in {plural(len(story.findings), 'finding')}"
    )
    answer = f"{found}; {plural(len(story.fixes), 'mended', 'mended')}"
    yield told(
        "Data",
        "What was wrong with the data?",
        answer + (f"; accepted: {listed(accepted)}." if accepted else "."),
    )
    leaks = [f.title for f in story.open_findings() if f.code in LEAKS]
    yield told(
        "Data",
        "May the target have leaked into the columns?",
        f"Look at: {listed(leaks, 3)}." if leaks else "No check found a leak.",
    )


LEAKS = ("leak", "hindsight", "delay", "overlap", "entity")


def measurement(story: Story) -> Iterator[Item]:
    """How good the model is, and how that is known."""
    evaluation = story.evaluation
    yield told("Measurement", "Is it better than simple rules?", evaluation["sentence"])
    bar = evaluation["bar"]
    answer = f"Wanted {bar['title']} {figure(bar['wanted'])}: {bar['verdict']}." if bar else ""
    question = "Is it good enough?"
    if bar:
        yield told("Measurement", question, answer)
    else:
        text = "Not said: set problem.bar in the project file."
        yield Item("Measurement", question, text, "nobody")
    yield told("Measurement", "Was the test set kept apart?", seal_state(story))
    error = story.champion["measures"].get("calibration_error")
    if error:
        text = f"They are off by {figure(error['value'])} on average on judge rows."
        yield told("Measurement", "Are its probabilities honest?", text)
    most = [item["column"] for item in story.importance[:5]]
    if most:
        yield told("Measurement", "On what does it hang?", f"Most on {joined(most)}.")


def people(story: Story) -> Iterator[Item]:
    """Whom the model touches."""
    card, groups = story.settings.card, story.evaluation["groups"]
    yield asked("People", "Who is touched by its decisions, and how?", card.people, "people")
    question = "Does it serve all groups alike?"
    gaps = [
        f"{gap['title']} by {gap['column']}: gap {figure(gap['value'])} (at least "
        f"{figure(gap['low'])})"
        for gap in widest_gaps(story)
    ]
    if gaps:
        yield told("People", question, "; ".join(gaps) + ".")
    elif groups:
        names = joined([item["column"] for item in groups])
        yield told("People", question, f"No gap between groups of {names} is sure.")
    else:
        text = "Not examined: name columns under problem.groups, if rows are about people."
        yield Item("People", question, text, "nobody")
    yield asked("People", "Who can object, and to whom?", card.oversight, "oversight")


def care(story: Story) -> Iterator[Item]:
    """How the model is looked after."""
    card = story.settings.card
    yield asked("Care", "Who watches it, and what makes them stop it?", card.watch, "watch")
    broken = story.package.get("limits", {}).get("broken", [])
    text = "; ".join(broken) if broken else "Yes, or none are set under deploy."
    yield told("Care", "Does it live within its limits of time and size?", text)
    yield told(
        "Care",
        "Can it be made again?",
        f"Every step is in the ledger (last entry {story.head[:16]}); "
        "`fieldcraft reproduce` does all of it over again and compares.",
    )
