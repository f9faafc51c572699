"""Type aliases used in all layers; this module imports nothing but NumPy's typing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]
Json = dict[str, Any]
# Called with a message and the fraction done (0 to 1), or None if that is unknown.
ProgressCallback = Callable[[str, float | None], None]
# Called with the number of an epoch and its metrics; True stops the training.
EpochCallback = Callable[[int, Mapping[str, float]], bool]
