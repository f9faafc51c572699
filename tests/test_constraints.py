"""What is installed is what was tested: every dependency has one version in constraints.txt."""

from __future__ import annotations

import re
from pathlib import Path

from tests.environments import resolve_requirements

CONSTRAINTS = (Path(__file__).parents[1] / "constraints.txt").read_text(encoding="utf-8")
PINS = dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", CONSTRAINTS, flags=re.MULTILINE))
EXTRAS = ("dev", "duckdb", "image", "serve", "text", "train")


def test_direct_and_indirect_dependencies_are_pinned() -> None:
    needed = resolve_requirements(*EXTRAS) - {"fieldcraft"}
    assert len(needed) > 80
    assert needed - PINS.keys() == set()
