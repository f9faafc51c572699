"""Every stage that is plugged in keeps the promises of a stage."""

from __future__ import annotations

import pytest

from fieldcraft.contracts import Stage
from fieldcraft.core import catalogue
from fieldcraft.project.settings import ColumnSettings, Data, Problem, Settings

STAGES = catalogue.names("stages")


@pytest.fixture
def settings() -> Settings:
    columns = {name: ColumnSettings(kind="number") for name in ("x", "y")}
    return Settings(
        problem=Problem(target="y", task="regression"), data=Data(source="t.csv", columns=columns)
    )


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_has_the_name_of_its_module_and_says_what_it_does(name: str) -> None:
    stage: Stage = catalogue.load("stages", name)
    assert isinstance(stage, Stage)
    assert stage.name == name
    assert stage.summary.endswith(".")
    assert callable(stage.run)
    assert stage.version >= 1


@pytest.mark.parametrize("name", STAGES)
def test_the_sections_of_a_stage_are_in_the_project_file(name: str, settings: Settings) -> None:
    stage: Stage = catalogue.load("stages", name)
    assert len(set(stage.sections)) == len(stage.sections)
    assert len(settings.digest(stage.sections)) == 64


@pytest.mark.parametrize("name", STAGES)
def test_a_change_in_a_section_of_a_stage_is_noticed(name: str, settings: Settings) -> None:
    stage: Stage = catalogue.load("stages", name)
    other = settings.model_copy(update={"data": settings.data.model_copy(update={"drop": ["x"]})})
    changed = settings.digest(stage.sections) != other.digest(stage.sections)
    assert changed == ("data" in stage.sections)
