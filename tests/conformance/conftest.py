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

from fieldcraft.bundle.encoder_set import EncoderSet
from fieldcraft.contracts import Task, TrainingJob
from fieldcraft.core.errors import DataError
from fieldcraft.core.types import Array
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.data.schema import Column, Schema
from tests.encoding import encode, fit_and_encode

N_ROWS = 60
MakeJob = Callable[..., TrainingJob]


@pytest.fixture(scope="session")
def text_columns() -> dict[str, pl.Series]:
    """Columns as they come from files and frames: ordinary, odd, and without a value."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(50, 20, N_ROWS).round(2)
    days = np.datetime64("2021-03-01") + rng.integers(0, 900, N_ROWS)
    text = {
        "measured": [None if i % 9 == 0 else str(v) for i, v in enumerate(numbers)],
        "comma": [f"{v:.1f}".replace(".", ",") for v in numbers],
        "counted": [str(v) for v in rng.integers(0, 5, N_ROWS)],
        "skewed": [f"{v:.3f}" for v in np.exp(2 * rng.normal(size=N_ROWS))],
        "city": [
            None if i % 11 == 0 else str(v) for i, v in enumerate(rng.choice([*"abc"], N_ROWS))
        ],
        "many": [f"level {v}" for v in rng.integers(0, 25, N_ROWS)],
        "answer": rng.choice(["yes", "no"], N_ROWS).tolist(),
        "day": [None if i % 13 == 0 else str(v) for i, v in enumerate(days)],
        "swiss_day": [f"{str(v)[8:]}.{str(v)[5:7]}.{str(v)[:4]}" for v in days],
        "key": [f"k{i:04d}" for i in range(N_ROWS)],
        "same": ["x"] * N_ROWS,
        "blank": [""] * N_ROWS,
        "odd": ["", "  ", "?", "NaN", "inf", "-1e400", "1e308", "\0", "é" * 999, "0x1F"] * 6,
    }
    native: dict[str, list[Any]] = {
        "whole": list(range(N_ROWS)),
        "huge": [2**62 + i for i in range(N_ROWS)],
        "floats": [None, 0.1, 1.0, -2.5, float("nan"), float("inf")] * 10,
        "truth": [True, False, None] * 20,
        "dated": [dt.date(2020, 1, 1) + dt.timedelta(days=i) for i in range(N_ROWS)],
        "moment": [
            dt.datetime(2020, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=i) for i in range(N_ROWS)
        ],
        "clock": [dt.time(i % 24, i) for i in range(N_ROWS)],
        "price": [Decimal(i) / 4 for i in range(N_ROWS)],
        "nothing": [None] * N_ROWS,
    }
    series_by_name = {name: pl.Series(name, cells, dtype=pl.String) for name, cells in text.items()}
    series_by_name |= {name: pl.Series(name, cells, strict=False) for name, cells in native.items()}
    series_by_name["levels"] = series_by_name["city"].alias("levels").cast(pl.Categorical)
    return series_by_name


@pytest.fixture(scope="session")
def target_for() -> Callable[[Task], pl.Series]:
    """A target that a task recognizes or else can read, explained by the columns of `make_job`."""
    score = make_features(N_ROWS)["score"].to_numpy()
    bought = pl.Series("bought", np.where(score > 0, "yes", "no"))
    steps = pl.Series("steps", np.digitize(score, [-0.5, 0.5]))
    targets = [
        bought,
        pl.Series("grade", np.array(["low", "middle", "high"])[steps.to_numpy()]),
        steps,
        pl.Series("price", 100 + 30 * score),
        pl.DataFrame({"bought": bought, "dear": score > 0.5, "cheap": score < -1}).to_struct("all"),
    ]

    def find_target(task: Task) -> pl.Series:
        inferences = [(task.infer(profile_columns(target)), i) for i, target in enumerate(targets)]
        scored = [(inference.confidence, i) for inference, i in inferences if inference]
        if scored:
            return targets[max(scored)[1]]
        for target in targets:
            with suppress(DataError):
                task.describe(target, {})
                return target
        raise AssertionError(f"add a target that {task.name} can read")

    return find_target


def profile_columns(target: pl.Series) -> list[ColumnProfile]:
    """A look at each column of a target."""
    columns = target.struct.unnest().get_columns() if target.dtype == pl.Struct else [target]
    return [ColumnProfile(column) for column in columns]


@pytest.fixture(scope="session")
def make_job(target_for: Callable[[Task], pl.Series]) -> MakeJob:
    """A small job for a learner: some columns, a number of rows, a class or label left out."""

    def build_job(
        task: Task,
        options: Any,
        names: Sequence[str] = ("amount", "city", "member", "seen"),
        rows: int = 40,
        left_out_class: int | None = None,
    ) -> TrainingJob:
        frame = make_features(N_ROWS)
        schema = Schema(tuple(Column(name, KIND_BY_COLUMN[name]) for name in names))
        target = target_for(task)
        target_spec = task.describe(target, {})
        y = task.encode(target, target_spec)
        train = np.arange(rows)
        if left_out_class is not None:
            train = train[
                (y[train, left_out_class] == 0) if y.ndim > 1 else (y[train] != left_out_class)
            ]
        validation_rows = np.arange(N_ROWS - 20, N_ROWS)
        scale = task.fit_target_scale(y[train])
        scaled: Array = task.scale_target(y, scale)
        encoders = EncoderSet(schema)
        values = schema.apply(frame)
        encoded = fit_and_encode(
            encoders, values[train], task.target_indicator_matrix(scaled[train], target_spec)
        )
        encoded_validation = encode(encoders, values[validation_rows])
        return TrainingJob(
            task, target_spec, options, encoders.build_nets,
            train=encoded, train_y=scaled[train],
            validation=encoded_validation, validation_y=scaled[validation_rows], seed=7,
        )  # fmt: skip

    return build_job


KIND_BY_COLUMN = {
    "amount": "number",
    "flat": "number",
    "empty": "number",
    "city": "category",
    "member": "boolean",
    "seen": "datetime",
}


def make_features(rows: int) -> pl.DataFrame:
    """Cells of four kinds with gaps, two columns that say nothing, and what explains targets.

    Of the last rows, which are never trained on, one has a level of its own and one no value.
    """
    rng = np.random.default_rng(1)
    amount, noise = rng.normal(size=rows), rng.normal(0, 0.3, rows)
    city = rng.choice(["Bern", "Oslo", "Rome"], rows)
    days = np.datetime64("2024-01-01") + rng.integers(0, 700, rows)
    frame = pl.DataFrame(
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
    return frame.with_columns(
        pl.when(number != rows - 1).then(pl.exclude("score")),
    ).with_columns(city=pl.when(number == rows - 2).then(pl.lit("Lima")).otherwise("city"))
