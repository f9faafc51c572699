"""Each test draws the same numbers, whichever ran before it."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def start_again(request: pytest.FixtureRequest) -> None:
    """Set the generator `DRAW` of a test file back, if it has one."""
    draw = getattr(request.module, "DRAW", None)
    if draw is not None:
        draw.bit_generator.state = np.random.default_rng(1).bit_generator.state
