"""Every stage that is plugged in keeps the promises of a stage."""

from __future__ import annotations

import pytest

from fieldcraft.contracts import Stage
from fieldcraft.core import catalog
from fieldcraft.project.settings import (
    ColumnSettings,
    DataSettings,
    ProblemSettings,
    ProjectSettings,
)

STAGES = catalog.list_plugins("stages")


@pytest.fixture
def settings() -> ProjectSettings:
    columns = {name: ColumnSettings(kind="number") for name in ("x", "y")}
    return ProjectSettings(
        problem=ProblemSettings(target="y", task="regression"),
        data=DataSettings(source="t.csv", columns=columns),
    )


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_has_the_name_of_its_module_and_says_what_it_does(name: str) -> None:
    stage: Stage = catalog.load_plugin("stages", name)
    assert isinstance(stage, Stage)
    assert stage.name == name
    assert stage.summary.endswith(".")
    assert callable(stage.run)
    assert stage.version >= 1


@pytest.mark.parametrize("name", STAGES)
def test_the_sections_of_a_stage_are_in_the_project_file(
    name: str, settings: ProjectSettings
) -> None:
    stage: Stage = catalog.load_plugin("stages", name)
    assert len(set(stage.config_sections)) == len(stage.config_sections)
    assert len(settings.digest(stage.config_sections)) == 64


@pytest.mark.parametrize("name", STAGES)
def test_a_change_in_a_section_of_a_stage_is_noticed(name: str, settings: ProjectSettings) -> None:
    stage: Stage = catalog.load_plugin("stages", name)
    changed_settings = settings.model_copy(
        update={"data": settings.data.model_copy(update={"drop": ["x"]})}
    )
    changed = settings.digest(stage.config_sections) != changed_settings.digest(
        stage.config_sections
    )
    assert changed == ("data" in stage.config_sections)
