"""Find plug-ins: built-in ones by folder, those of other packages by entry point.

A plug-in is a module with one object, under the name that its group asks for: the module
``fieldcraft.kinds.number`` defines ``KIND``. Another package declares its own in its metadata::

    [project.entry-points."fieldcraft.kinds"]
    molecule = "chem_kinds.molecule"
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from fieldcraft.core.errors import PluginError, did_you_mean

PLUGIN_OBJECT_NAMES: dict[str, str] = {
    "kinds": "KIND",
    "tasks": "TASK",
    "learners": "LEARNER",
    "checks": "CHECK",
    "stages": "STAGE",
    "bundle.formats": "FORMAT",
    "data.sources": "SOURCE",
}


class DeferredFunction:
    """A class attribute that resolves to a function of another module, imported on first access.

    A plug-in that declares its methods with it can be imported without their dependencies, such
    as torch, and a call adds no stack frame.
    """

    def __init__(self, target: str) -> None:
        """Set the function, as ``package.module:function``."""
        self.target = target

    def __get__(self, instance: object, owner: type) -> Any:
        """Return the function itself, not bound to the instance."""
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)


@cache
def find_plugin_modules(group: str) -> dict[str, str]:
    """Map the name of each plug-in of a group to its module, in alphabetical order.

    No plug-in is imported. A built-in one wins over an entry point of the same name.
    """
    package = f"fieldcraft.{group}"
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    # Modules such as `_base.py` are shared by the plug-ins of a group; they are not plug-ins.
    builtin_modules = {
        module.name: f"{package}.{module.name}"
        for module in pkgutil.iter_modules(folders)
        if not module.name.startswith("_")
    }
    entry_point_modules = {
        entry_point.name: entry_point.value for entry_point in entry_points(group=package)
    }
    # Built-in modules come last and win: installing a package must not change what an existing
    # project file means.
    return dict(sorted({**entry_point_modules, **builtin_modules}.items()))


def list_plugins(group: str) -> list[str]:
    """Return the names of the plug-ins of a group, in alphabetical order.

    >>> "number" in list_plugins("kinds")
    True
    """
    return list(find_plugin_modules(group))


def load_plugin(group: str, name: str) -> Any:
    """Return the plug-in with a name, imported on first use.

    Raises:
        PluginError: there is no such plug-in, or its module does not define the object.
    """
    known_modules = find_plugin_modules(group)
    singular = PLUGIN_OBJECT_NAMES[group].lower()
    if name not in known_modules:
        raise PluginError(
            f"there is no {singular} named {name!r}",
            detail=f"{singular}: {name}",
            hint=f"use an installed {singular}; {did_you_mean(name, known_modules)}",
        )
    module = importlib.import_module(known_modules[name])
    if not hasattr(module, PLUGIN_OBJECT_NAMES[group]):
        raise PluginError(
            f"the module of the {singular} {name!r} does not define {PLUGIN_OBJECT_NAMES[group]}",
            detail=known_modules[name],
            hint=f"set {PLUGIN_OBJECT_NAMES[group]} in that module to the plug-in object",
        )
    return getattr(module, PLUGIN_OBJECT_NAMES[group])


def load_plugins(group: str) -> list[Any]:
    """Return all plug-ins of a group, in alphabetical order of their names."""
    return [load_plugin(group, name) for name in list_plugins(group)]
