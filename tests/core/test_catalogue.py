"""Plugs are found by folder and by entry point, and loaded by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from types import ModuleType

import pytest

from fieldcraft.core import catalogue
from fieldcraft.core.errors import PlugError

OUTSIDE = "outside_plugs"  # stands for another package that adds kinds


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module that another package offers as the kinds ``molecule`` and ``number``."""
    module = ModuleType(OUTSIDE)
    monkeypatch.setitem(sys.modules, OUTSIDE, module)
    found = EntryPoints(
        EntryPoint(name, OUTSIDE, "fieldcraft.kinds") for name in ("molecule", "number")
    )
    monkeypatch.setattr(catalogue, "entry_points", lambda group: found.select(group=group))
    catalogue.modules.cache_clear()
    yield module
    catalogue.modules.cache_clear()


@pytest.mark.parametrize("shape", catalogue.SHAPES)
def test_every_plug_of_every_shape_loads(shape: str) -> None:
    plugs = catalogue.load_all(shape)
    assert len(plugs) == len(catalogue.names(shape)) > 0


@pytest.mark.parametrize("shape", ["kinds", "tasks", "learners", "stages"])
def test_a_plug_is_listed_under_its_own_name(shape: str) -> None:
    assert [plug.name for plug in catalogue.load_all(shape)] == catalogue.names(shape)


def test_names_are_in_order_and_hide_private_modules() -> None:
    names = catalogue.names("stages")
    assert names == sorted(names)
    assert not [name for name in names if name.startswith("_")]


def test_a_mistyped_name_is_answered_with_the_near_one() -> None:
    with pytest.raises(PlugError, match="no kind named 'numbr'") as caught:
        catalogue.load("kinds", "numbr")
    assert caught.value.way_out == "use a kind that is plugged in; did you mean 'number'?"


def test_another_package_adds_a_kind_by_entry_point(outside: ModuleType) -> None:
    kind = object()
    outside.KIND = kind  # type: ignore[attr-defined]
    assert "molecule" in catalogue.names("kinds")
    assert catalogue.load("kinds", "molecule") is kind


def test_another_package_cannot_take_the_place_of_an_own_kind(outside: ModuleType) -> None:
    assert catalogue.modules("kinds")["number"] == "fieldcraft.kinds.number"


def test_a_module_that_offers_nothing_is_named(outside: ModuleType) -> None:
    with pytest.raises(PlugError, match="offers no KIND") as caught:
        catalogue.load("kinds", "molecule")
    assert caught.value.seen == OUTSIDE
