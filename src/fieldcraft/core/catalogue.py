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

from fieldcraft.core.errors import PlugError, near

SHAPES: dict[str, str] = {
    "kinds": "KIND",
    "tasks": "TASK",
    "learners": "LEARNER",
    "checks": "CHECK",
    "stages": "STAGE",
    "bundle.formats": "FORMAT",
    "data.sources": "SOURCE",
}


@cache
def modules(shape: str) -> dict[str, str]:
    """Names of everything plugged in under a shape, each with the module that offers it.

    Nothing is imported, so listing is cheap. Own plugs win over entry points of the same name.
    """
    package = f"fieldcraft.{shape}"
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    own = {
        module.name: f"{package}.{module.name}"
        for module in pkgutil.iter_modules(folders)
        if not module.name.startswith("_")
    }
    outside = {point.name: point.value for point in entry_points(group=package)}
    return dict(sorted({**outside, **own}.items()))


def names(shape: str) -> list[str]:
    """Names of everything plugged in under a shape, in alphabetical order.

    >>> "number" in names("kinds")
    True
    """
    return list(modules(shape))


def load(shape: str, name: str) -> Any:
    """The plug of that name, imported when it is first asked for.

    Raises:
        PlugError: nothing of that name is plugged in, or the module does not offer the object.
    """
    known = modules(shape)
    singular = SHAPES[shape].lower()
    if name not in known:
        raise PlugError(
            f"there is no {singular} named {name!r}",
            seen=f"{singular}: {name}",
            way_out=f"use a {singular} that is plugged in; {near(name, known)}",
        )
    module = importlib.import_module(known[name])
    if not hasattr(module, SHAPES[shape]):
        raise PlugError(
            f"the module of the {singular} {name!r} offers no {SHAPES[shape]}",
            seen=known[name],
            way_out=f"set {SHAPES[shape]} in that module to the plug object",
        )
    return getattr(module, SHAPES[shape])


def load_all(shape: str) -> list[Any]:
    """Every plug of a shape, in alphabetical order of name."""
    return [load(shape, name) for name in names(shape)]
