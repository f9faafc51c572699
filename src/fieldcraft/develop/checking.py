"""Find the checks that fit, run them, and keep what they found."""

from __future__ import annotations

from pathlib import Path

from fieldcraft.contracts import Array, Check, Sight, View
from fieldcraft.core import catalogue, files
from fieldcraft.data.look import looks
from fieldcraft.develop.rows import Development
from fieldcraft.evidence.metrics import Said
from fieldcraft.evidence.records import SEVERITIES, Finding
from fieldcraft.project.work import Work

NAME = "findings.json"  # of the file in the folder of a step


def checks_of(sight: Sight) -> list[Check]:
    """Every check that looks at this: those of their own and those that belong to a kind."""
    own: list[Check] = catalogue.load_all("checks")
    every = own + [check for kind in catalogue.load_all("kinds") for check in kind.checks()]
    return [check for check in every if check.looks_at == sight]


def keep(found: list[Finding], work: Work) -> list[Finding]:
    """Put findings on the record and into the folder of a step, the worst first."""
    ordered = sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
    for finding in ordered:
        work.record("finding", finding.as_json())
    files.write_json(work.out / NAME, [finding.as_json() for finding in ordered])
    return ordered


def kept(folder: Path) -> list[Finding]:
    """The findings that a step kept; none of a step that an older version ran."""
    there = (folder / NAME).exists()
    return [Finding.from_json(value) for value in files.read_json(folder / NAME)] if there else []


def judge_view(rows: Development, judge: Array, said: Said, targets: tuple[str, ...]) -> View:
    """Judge rows with what the champion says about them, which has not learned from them."""
    places = judge.tolist()
    frame = rows.frame[places]
    seen = [column.name for column in rows.schema.needed if column.name in frame.columns]
    return View(
        schema=rows.schema,
        targets=targets,
        looks=looks(frame.select(seen), rows.schema.missing),
        values=rows.values[places],
        rows=[rows.rows[i] for i in places],
        task=rows.task,
        about=rows.about,
        y=rows.y[judge],
        said=said,
    )
