"""Each test draws the same random numbers, whatever ran before it."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def reset_module_generator(request: pytest.FixtureRequest) -> None:
    """Reset the generator `DRAW` of a test file, if it has one."""
    generator = getattr(request.module, "DRAW", None)
    if generator is not None:
        generator.bit_generator.state = np.random.default_rng(1).bit_generator.state
