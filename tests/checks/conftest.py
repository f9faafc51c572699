"""Each test draws the same numbers, whichever ran before it."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def reset_module_generator(request: pytest.FixtureRequest) -> None:
    """Set the generator `DRAW` of a test file back, if it has one."""
    generator = getattr(request.module, "DRAW", None)
    if generator is not None:
        generator.bit_generator.state = np.random.default_rng(1).bit_generator.state
