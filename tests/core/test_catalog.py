"""Plug-ins are found by folder and by entry point, and loaded by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from types import ModuleType

import pytest

from fieldcraft.core import catalog
from fieldcraft.core.errors import PluginError

EXTERNAL_MODULE = "external_plugins"  # stands for another package that adds kinds


@pytest.fixture
def external_plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module that another package offers as the kinds ``molecule`` and ``number``."""
    module = ModuleType(EXTERNAL_MODULE)
    monkeypatch.setitem(sys.modules, EXTERNAL_MODULE, module)
    points = EntryPoints(
        EntryPoint(name, EXTERNAL_MODULE, "fieldcraft.kinds") for name in ("molecule", "number")
    )
    monkeypatch.setattr(catalog, "entry_points", lambda group: points.select(group=group))
    catalog.find_plugin_modules.cache_clear()
    yield module
    catalog.find_plugin_modules.cache_clear()


@pytest.mark.parametrize("group", catalog.PLUGIN_OBJECT_NAMES)
def test_every_plugin_of_every_group_loads(group: str) -> None:
    plugins = catalog.load_plugins(group)
    assert len(plugins) == len(catalog.list_plugins(group)) > 0


@pytest.mark.parametrize("group", ["kinds", "tasks", "learners", "stages"])
def test_a_plugin_is_listed_under_its_own_name(group: str) -> None:
    assert [plugin.name for plugin in catalog.load_plugins(group)] == catalog.list_plugins(group)


def test_names_are_sorted_and_exclude_private_modules() -> None:
    names = catalog.list_plugins("stages")
    assert names == sorted(names)
    assert not [name for name in names if name.startswith("_")]


def test_a_mistyped_name_gets_a_suggestion() -> None:
    with pytest.raises(PluginError, match="no kind named 'numbr'") as caught:
        catalog.load_plugin("kinds", "numbr")
    assert caught.value.hint == "use an installed kind; did you mean 'number'?"


def test_another_package_adds_a_kind_by_entry_point(external_plugins: ModuleType) -> None:
    kind = object()
    external_plugins.KIND = kind  # type: ignore[attr-defined]
    assert "molecule" in catalog.list_plugins("kinds")
    assert catalog.load_plugin("kinds", "molecule") is kind


def test_another_package_cannot_replace_a_builtin_kind(external_plugins: ModuleType) -> None:
    assert catalog.find_plugin_modules("kinds")["number"] == "fieldcraft.kinds.number"


def test_a_module_without_the_plugin_object_is_named(external_plugins: ModuleType) -> None:
    with pytest.raises(PluginError, match="does not define KIND") as caught:
        catalog.load_plugin("kinds", "molecule")
    assert caught.value.detail == EXTERNAL_MODULE
