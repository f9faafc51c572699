"""Find what is plugged in: by folder inside Fieldcraft, by entry point from other packages.

A plug is a module that offers one object under the name of its shape in capitals: the module
``fieldcraft.kinds.number`` offers ``KIND``. Another package declares the same in its metadata::

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


@cache
def find_plugin_modules(group: str) -> dict[str, str]:
    """Names of everything plugged in under a shape, each with the module that offers it.

    Nothing is imported, so listing is cheap. Own plugs win over entry points of the same name.
    """
    package = f"fieldcraft.{group}"
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    builtin_modules = {
        module.name: f"{package}.{module.name}"
        for module in pkgutil.iter_modules(folders)
        if not module.name.startswith("_")
    }
    entry_point_modules = {
        entry_point.name: entry_point.value for entry_point in entry_points(group=package)
    }
    return dict(sorted({**entry_point_modules, **builtin_modules}.items()))


def list_plugins(group: str) -> list[str]:
    """Names of everything plugged in under a shape, in alphabetical order.

    >>> "number" in names("kinds")
    True
    """
    return list(find_plugin_modules(group))


def load_plugin(group: str, name: str) -> Any:
    """The plug of that name, imported when it is first asked for.

    Raises:
        PlugError: nothing of that name is plugged in, or the module does not offer the object.
    """
    known_modules = find_plugin_modules(group)
    singular = PLUGIN_OBJECT_NAMES[group].lower()
    if name not in known_modules:
        raise PluginError(
            f"there is no {singular} named {name!r}",
            detail=f"{singular}: {name}",
            hint=f"use a {singular} that is plugged in; {did_you_mean(name, known_modules)}",
        )
    module = importlib.import_module(known_modules[name])
    if not hasattr(module, PLUGIN_OBJECT_NAMES[group]):
        raise PluginError(
            f"the module of the {singular} {name!r} offers no {PLUGIN_OBJECT_NAMES[group]}",
            detail=known_modules[name],
            hint=f"set {PLUGIN_OBJECT_NAMES[group]} in that module to the plug object",
        )
    return getattr(module, PLUGIN_OBJECT_NAMES[group])


def load_plugins(group: str) -> list[Any]:
    """Every plug of a shape, in alphabetical order of name."""
    return [load_plugin(group, name) for name in list_plugins(group)]
