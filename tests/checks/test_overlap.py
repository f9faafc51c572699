"""The check that reports rows on both sides of the split."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fieldcraft.checks.overlap import CHECK
from fieldcraft.contracts import View
from tests.checks.views import found, split_view


def view(shared: int, rows: int = 200) -> View:
    """Training rows, and judge rows of which some stand among them."""
    cells = {"a": [str(i) for i in range(rows)], "y": ["u", "v"] * (rows // 2)}
    base = split_view(cells, "binary", a="number")
    assert base.digests is not None
    train = list(base.digests["train"])
    judge = [*train[:shared], *(f"other {i}".encode() for i in range(rows - shared))]
    return replace(base, digests={"train": train, "judge": judge, "test": []})


def test_parts_without_a_row_in_common_are_not_reported() -> None:
    assert found(CHECK, view(0)) == []


@pytest.mark.parametrize(("shared", "severity"), [(1, "tip"), (2, "warn"), (150, "warn")])
def test_shared_rows_are_counted(shared: int, severity: str) -> None:
    (finding,) = found(CHECK, view(shared))
    assert finding.severity == severity
    assert finding.evidence == {"part": "judge", "shared": shared, "rows": 200}


def test_rows_repeated_within_the_training_part_do_not_count() -> None:
    base = view(0)
    assert base.digests is not None
    train = list(base.digests["train"])
    assert found(CHECK, replace(base, digests={"train": train + train})) == []
