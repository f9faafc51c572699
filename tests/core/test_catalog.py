"""Plugs are found by folder and by entry point, and loaded by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from types import ModuleType

import pytest

from fieldcraft.core import catalog
from fieldcraft.core.errors import PluginError

EXTERNAL_MODULE = "outside_plugs"  # stands for another package that adds kinds


@pytest.fixture
def external_plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module that another package offers as the kinds ``molecule`` and ``number``."""
    module = ModuleType(EXTERNAL_MODULE)
    monkeypatch.setitem(sys.modules, EXTERNAL_MODULE, module)
    found = EntryPoints(
        EntryPoint(name, EXTERNAL_MODULE, "fieldcraft.kinds") for name in ("molecule", "number")
    )
    monkeypatch.setattr(catalog, "entry_points", lambda group: found.select(group=group))
    catalog.find_plugin_modules.cache_clear()
    yield module
    catalog.find_plugin_modules.cache_clear()


@pytest.mark.parametrize("shape", catalog.PLUGIN_OBJECT_NAMES)
def test_every_plug_of_every_shape_loads(shape: str) -> None:
    plugs = catalog.load_plugins(shape)
    assert len(plugs) == len(catalog.list_plugins(shape)) > 0


@pytest.mark.parametrize("shape", ["kinds", "tasks", "learners", "stages"])
def test_a_plug_is_listed_under_its_own_name(shape: str) -> None:
    assert [plug.name for plug in catalog.load_plugins(shape)] == catalog.list_plugins(shape)


def test_names_are_in_order_and_hide_private_modules() -> None:
    names = catalog.list_plugins("stages")
    assert names == sorted(names)
    assert not [name for name in names if name.startswith("_")]


def test_a_mistyped_name_is_answered_with_the_near_one() -> None:
    with pytest.raises(PluginError, match="no kind named 'numbr'") as caught:
        catalog.load_plugin("kinds", "numbr")
    assert caught.value.hint == "use a kind that is plugged in; did you mean 'number'?"


def test_another_package_adds_a_kind_by_entry_point(external_plugins: ModuleType) -> None:
    kind = object()
    external_plugins.KIND = kind  # type: ignore[attr-defined]
    assert "molecule" in catalog.list_plugins("kinds")
    assert catalog.load_plugin("kinds", "molecule") is kind


def test_another_package_cannot_take_the_place_of_an_own_kind(external_plugins: ModuleType) -> None:
    assert catalog.find_plugin_modules("kinds")["number"] == "fieldcraft.kinds.number"


def test_a_module_that_offers_nothing_is_named(external_plugins: ModuleType) -> None:
    with pytest.raises(PluginError, match="offers no KIND") as caught:
        catalog.load_plugin("kinds", "molecule")
    assert caught.value.detail == EXTERNAL_MODULE
