"""Types that every floor uses; importing this module imports NumPy's typing, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]
Json = dict[str, Any]
# A message, and the fraction that is done; None where that is not known.
ProgressCallback = Callable[[str, float | None], None]
