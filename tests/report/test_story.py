"""What the records say, gathered for whoever tells it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fieldcraft.core.edit import Edit
from fieldcraft.evidence.records import Finding
from fieldcraft.project import file
from fieldcraft.project.folder import Folder
from fieldcraft.report.story import Story, headline, next_steps, relative_width, seal_state
from fieldcraft.stages import _flow


@pytest.fixture
def story(finished: Folder) -> Story:
    return _flow.latest(finished)


def test_a_new_project_has_a_story_too(project: Folder) -> None:
    story = _flow.latest(project)
    assert headline(story) == "Nothing has been evaluated yet."
    assert seal_state(story) == "There is no test set."
    assert next_steps(story) == []


def test_serious_findings_come_first_among_the_next_steps(story: Story) -> None:
    leak = Finding("leak", "stop", "x alone tells 99% of the target", "x", advice="drop it")
    found = next_steps(replace(story, findings=[leak]))
    assert found[0].startswith(
        "Look at the findings, first: X alone tells 99% of the target. Drop it."
    )


def test_an_accepted_finding_is_not_open(finished: Folder) -> None:
    file.edit(finished.file, [Edit(("audit", "accept"), ["constant:same"])])
    story = _flow.latest(finished)
    assert "constant:same" in {f.name for f in story.findings}
    assert "constant:same" not in {f.name for f in story.open_findings()}


def test_a_wide_interval_asks_for_more_rows(story: Story) -> None:
    main = story.champion["measures"][story.evaluation["metric"]]
    main.update(value=0.8, low=0.6, high=0.95)
    assert relative_width(story) == pytest.approx(0.4375)
    assert any("more rows" in step for step in next_steps(story))


def test_what_the_curves_say_is_among_the_next_steps(story: Story) -> None:
    said = {"verdict": "unfinished", "reason": "it was falling", "step": "raise model.epochs"}
    story.evaluation["fitness"] = said
    wanted = "The network is unfinished: it was falling; raise model.epochs."
    assert wanted in next_steps(story)
    story.evaluation["fitness"] = {**said, "verdict": "good"}
    assert wanted not in next_steps(story)


def test_limits_that_are_broken_and_positives_that_are_missed_are_told(story: Story) -> None:
    story.champion["measures"]["recall"]["value"] = 0.2
    story.champion["measures"]["calibration_error"]["value"] = 0.2
    limits = {"broken": ["latency is 9 ms a row, allowed 5"]}
    found = next_steps(replace(story, package={"limits": limits}))
    assert any("Only 20% of the positives are called positive" in step for step in found)
    assert any("Probabilities are off by 20.0%" in step for step in found)
    assert "Over its limit: latency is 9 ms a row, allowed 5." in found


def test_a_gap_between_groups_is_told_only_where_it_is_sure(story: Story) -> None:
    gap = {"highest": "a", "lowest": "b", "value": 0.2, "low": 0.05, "high": 0.3}
    metric = story.evaluation["metric"]
    group = {"column": "city", "metrics": {metric: "ROC AUC"}, "gaps": {metric: gap}}
    story.evaluation["groups"] = [group]
    assert any("ROC AUC differs between city a and b" in step for step in next_steps(story))
    for low in (-0.01, None):
        group["gaps"] = {metric: {**gap, "low": low}}
        assert not any("differs between city" in step for step in next_steps(story))


def test_no_better_than_guessing_asks_for_other_columns(story: Story) -> None:
    story.evaluation["champion"] = "constant"
    assert any("look for columns that tell more" in step for step in next_steps(story))


def test_the_headline_says_whether_the_bar_is_met(story: Story) -> None:
    story.evaluation["bar"] = {"wanted": 0.8, "verdict": "met"}
    assert headline(story).endswith("The bar of 0.8000 is met.")


def test_the_seal_is_offered_until_it_is_opened(finished: Folder) -> None:
    before = _flow.latest(finished)
    assert any("evaluate --final" in step for step in next_steps(before))
    after = _flow.final_evaluation(finished, _flow.Unwatched(), None)
    assert not any("evaluate --final" in step for step in next_steps(after))


def test_the_story_of_a_project_does_not_depend_on_where_it_lies(
    story: Story, finished_once: Path
) -> None:
    assert _flow.latest(Folder(finished_once / "project")).evaluation == story.evaluation
