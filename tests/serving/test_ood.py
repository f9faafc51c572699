"""A number beyond those of training, or a word it did not show, is new; a missing value is not."""

from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from fieldcraft.bundle.input_anomalies import VALUE_STATISTIC
from fieldcraft.serving.ood import OutOfRangeDetector

KNOWN: dict[str, Any] = {
    "age": {VALUE_STATISTIC: {"form": "number", "low": 18.0, "high": 65.0}},
    "pay": {VALUE_STATISTIC: {"form": "number", "low": -1.0, "high": 1.0}},
    "city": {VALUE_STATISTIC: {"form": "word", "seen": ["Bern", "Oslo"]}},
    "street": {VALUE_STATISTIC: {"form": "word", "seen": None}},  # too many to keep
    "seen": {VALUE_STATISTIC: {"form": "time"}},
    "text": {"length": {"form": "number", "low": 0.0, "high": 1.0}},
}
numbers = st.none() | st.sampled_from([17.999, 18.0, 40.0, 65.0, 65.001, -1.0, 1.0, 0.0])
words = st.sampled_from([None, "Bern", "Oslo", "Rome", ""])


@given(st.lists(st.tuples(numbers, numbers, words, words), max_size=6))
def test_rows_and_cells_are_told_as_one_by_one(rows: list[tuple[Any, ...]]) -> None:
    names = {"age": pl.Float64, "pay": pl.Float64, "city": pl.String, "street": pl.String}
    values = pl.DataFrame(rows, schema=names, orient="row")
    new, beyond, unseen = OutOfRangeDetector(KNOWN).detect(values)
    age = [a is not None and not 18 <= a <= 65 for a, *_ in rows]
    pay = [p is not None and not -1 <= p <= 1 for _, p, *_ in rows]
    city = [c is not None and c not in ("Bern", "Oslo") for *_, c, _ in rows]
    assert new.tolist() == [any(odd) for odd in zip(age, pay, city, strict=True)]
    assert beyond == {n: sum(odd) for n, odd in {"age": age, "pay": pay}.items() if sum(odd)}
    assert unseen == ({"city": sum(city)} if sum(city) else {})
