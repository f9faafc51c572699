"""Import what an extra brings, or name the extra and the exact line that installs it."""

from __future__ import annotations

import importlib
from typing import Any

from fieldcraft.core.errors import MissingExtraError


def require(module: str, extra: str) -> Any:
    """Import a module that an extra brings.

    Raises:
        MissingExtraError: the module is not installed; the message holds the install line.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and module.split(".")[0] != error.name.split(".")[0]:
            raise
        raise MissingExtraError(
            f"this needs {module.split('.')[0]}, which is not installed",
            seen=f"import {module} failed",
            way_out=f'run: pip install "fieldcraft[{extra}]"',
        ) from error
