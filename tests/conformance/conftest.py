"""Columns, targets and encoded tables that every plug is tried on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.bundle.encoders import EncoderSet
from fieldcraft.contracts import Array, Job, Task
from fieldcraft.core.errors import DataError
from fieldcraft.data.look import Look
from fieldcraft.data.table import Column, Schema
from tests.encoding import encode, fit_encode

ROWS = 60
MakeJob = Callable[..., Job]


@pytest.fixture(scope="session")
def columns() -> dict[str, pl.Series]:
    """Columns as they come from files and frames: ordinary, odd, and without a value."""
    draw = np.random.default_rng(0)
    numbers = draw.normal(50, 20, ROWS).round(2)
    days = np.datetime64("2021-03-01") + draw.integers(0, 900, ROWS)
    text = {
        "measured": [None if i % 9 == 0 else str(v) for i, v in enumerate(numbers)],
        "comma": [f"{v:.1f}".replace(".", ",") for v in numbers],
        "counted": [str(v) for v in draw.integers(0, 5, ROWS)],
        "skewed": [f"{v:.3f}" for v in np.exp(2 * draw.normal(size=ROWS))],
        "city": [
            None if i % 11 == 0 else str(v) for i, v in enumerate(draw.choice([*"abc"], ROWS))
        ],
        "many": [f"level {v}" for v in draw.integers(0, 25, ROWS)],
        "answer": draw.choice(["yes", "no"], ROWS).tolist(),
        "day": [None if i % 13 == 0 else str(v) for i, v in enumerate(days)],
        "swiss_day": [f"{str(v)[8:]}.{str(v)[5:7]}.{str(v)[:4]}" for v in days],
        "key": [f"k{i:04d}" for i in range(ROWS)],
        "same": ["x"] * ROWS,
        "blank": [""] * ROWS,
        "odd": ["", "  ", "?", "NaN", "inf", "-1e400", "1e308", "\0", "é" * 999, "0x1F"] * 6,
    }
    native: dict[str, list[Any]] = {
        "whole": list(range(ROWS)),
        "huge": [2**62 + i for i in range(ROWS)],
        "floats": [None, 0.1, 1.0, -2.5, float("nan"), float("inf")] * 10,
        "truth": [True, False, None] * 20,
        "dated": [dt.date(2020, 1, 1) + dt.timedelta(days=i) for i in range(ROWS)],
        "moment": [
            dt.datetime(2020, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=i) for i in range(ROWS)
        ],
        "clock": [dt.time(i % 24, i) for i in range(ROWS)],
        "price": [Decimal(i) / 4 for i in range(ROWS)],
        "nothing": [None] * ROWS,
    }
    found = {name: pl.Series(name, cells, dtype=pl.String) for name, cells in text.items()}
    found |= {name: pl.Series(name, cells, strict=False) for name, cells in native.items()}
    found["levels"] = found["city"].alias("levels").cast(pl.Categorical)
    return found


@pytest.fixture(scope="session")
def target_for() -> Callable[[Task], pl.Series]:
    """A target that a task recognises or else can read, explained by the columns of `make_job`."""
    score = features(ROWS)["score"].to_numpy()
    bought = pl.Series("bought", np.where(score > 0, "yes", "no"))
    steps = pl.Series("steps", np.digitize(score, [-0.5, 0.5]))
    targets = [
        bought,
        pl.Series("grade", np.array(["low", "middle", "high"])[steps.to_numpy()]),
        steps,
        pl.Series("price", 100 + 30 * score),
        pl.DataFrame({"bought": bought, "dear": score > 0.5, "cheap": score < -1}).to_struct("all"),
    ]

    def find(task: Task) -> pl.Series:
        guesses = [(task.recognise(looks_at(target)), i) for i, target in enumerate(targets)]
        sure = [(guess.confidence, i) for guess, i in guesses if guess]
        if sure:
            return targets[max(sure)[1]]
        for target in targets:
            with suppress(DataError):
                task.describe(target, {})
                return target
        raise AssertionError(f"add a target that {task.name} can read")

    return find


def looks_at(target: pl.Series) -> list[Look]:
    """A look at each column of a target."""
    columns = target.struct.unnest().get_columns() if target.dtype == pl.Struct else [target]
    return [Look(column) for column in columns]


@pytest.fixture(scope="session")
def make_job(target_for: Callable[[Task], pl.Series]) -> MakeJob:
    """A small job for a learner: some columns, a number of rows, a class or label left out."""

    def make(
        task: Task,
        options: Any,
        names: Sequence[str] = ("amount", "city", "member", "seen"),
        rows: int = 40,
        without: int | None = None,
    ) -> Job:
        frame = features(ROWS)
        schema = Schema(tuple(Column(name, KINDS[name]) for name in names))
        target = target_for(task)
        about = task.describe(target, {})
        y = task.encode(target, about)
        train = np.arange(rows)
        if without is not None:
            train = train[(y[train, without] == 0) if y.ndim > 1 else (y[train] != without)]
        tune = np.arange(ROWS - 20, ROWS)
        scale = task.scale(y[train])
        scaled: Array = task.scaled(y, scale)
        encoders = EncoderSet(schema)
        values = schema.apply(frame)
        encoded = fit_encode(encoders, values[train], task.columns(scaled[train], about))
        held = encode(encoders, values[tune])
        return Job(
            task, about, options, encoders.nets,
            train=encoded, train_y=scaled[train], tune=held, tune_y=scaled[tune], seed=7,
        )  # fmt: skip

    return make


KINDS = {
    "amount": "number",
    "flat": "number",
    "empty": "number",
    "city": "category",
    "member": "boolean",
    "seen": "datetime",
}


def features(rows: int) -> pl.DataFrame:
    """Cells of four kinds with gaps, two columns that say nothing, and what explains targets.

    Of the last rows, which are never trained on, one has a level of its own and one no value.
    """
    draw = np.random.default_rng(1)
    amount, noise = draw.normal(size=rows), draw.normal(0, 0.3, rows)
    city = draw.choice(["Bern", "Oslo", "Rome"], rows)
    days = np.datetime64("2024-01-01") + draw.integers(0, 700, rows)
    found = pl.DataFrame(
        {
            "amount": [None if i % 7 == 0 else f"{v:.3f}" for i, v in enumerate(amount)],
            "flat": ["5"] * rows,
            "empty": [""] * rows,
            "city": [None if i % 10 == 3 else str(v) for i, v in enumerate(city)],
            "member": [None if i % 8 == 5 else ["yes", "no"][i % 2] for i in range(rows)],
            "seen": [None if i % 12 == 1 else str(v) for i, v in enumerate(days)],
            "score": amount + (city == "Rome") - 0.3 + noise,
        }
    )
    number = pl.int_range(rows)
    return found.with_columns(
        pl.when(number != rows - 1).then(pl.exclude("score")),
    ).with_columns(city=pl.when(number == rows - 2).then(pl.lit("Lima")).otherwise("city"))
