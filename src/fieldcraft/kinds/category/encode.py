"""Encode categories: levels learned on training rows, target means where levels are many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from fieldcraft.bundle.encoders import Views
from fieldcraft.contracts import Array, Matrix, State
from fieldcraft.data.table import Column

RARE = 2  # a level must stand on this many training rows; rarer ones share the unseen slot
MANY = 50  # above this many levels, target means join the codes
PRIOR = 10.0  # rows' worth of the overall mean in each level's target mean
PARTS = 5  # of the out-of-fold target means
MOST_MEANS = 10  # of a level; of more columns of the target none are taken
MISSING = "\0missing"
FOR_NUMBERS = ("mean", "median", "model")  # ways to impute that mean nothing here


@dataclass(frozen=True)
class Levels:
    """The levels of one column, commonest first; equally common ones in alphabetical order."""

    names: list[str]

    @classmethod
    def of(cls, column: pl.Series) -> Levels:
        """The levels in training rows that are not rare."""
        counted = column.alias("level").value_counts(name="count").filter(pl.col("count") >= RARE)
        kept = counted.sort(["count", "level"], descending=[True, False])
        return cls(kept["level"].to_list())

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def known(self) -> dict[str, int]:
        """The code of every spelling of a level.

        A code that lost its leading zeros on the way (020 as the number 20) is known all the same.
        """
        codes = {name: code for code, name in enumerate(self.names, start=1)}
        for name, code in list(codes.items()):
            if name.startswith("0") and name.isdigit():
                codes.setdefault(name.lstrip("0") or "0", code)
        return codes

    def codes(self, column: pl.Series, fill: str) -> Array:
        """The code of each cell, a missing one read as the level `fill`; 0 for none of these."""
        known, cells = self.known, column.to_list()
        missing = known.get(fill, 0)
        found = [missing if cell is None else known.get(cell, 0) for cell in cells]
        return np.array(found, dtype=np.int64)


class CategoryEncoder:
    """Encodes all category columns of a table as codes: 0 for unseen or rare levels, then 1, 2, ...

    Codes go from the commonest level to the rarest. A missing value is a level like any other,
    unless the column's option ``impute`` says which level it counts as: ``mode``, the commonest,
    or a level by its name.

    Columns of more than 50 levels also tell, for each column of the target, the smoothed mean
    over the rows of the level (Micci-Barreca 2001), and the logarithm of how many rows it has. On
    training rows the means come out of fold, so that no row sees its own target.
    """

    most_rows = None

    def __init__(self, columns: Sequence[Column]) -> None:
        """An encoder of some columns that knows nothing of them yet."""
        self.names = [column.name for column in columns]
        self.imputes = [column.options.get("impute") for column in columns]
        self.fills: list[str] = []  # what a missing value counts as
        self.levels: list[Levels] = []
        self.facts: dict[int, Array] = {}  # column number -> (levels + 1, target columns + 1)

    def read(self, rows: pl.DataFrame) -> list[pl.Series]:
        """The columns as they are."""
        return [rows[name] for name in self.names]

    def fit_transform(self, columns: list[pl.Series], target: Array) -> Views:
        """Learn levels and target means from training rows; return them encoded."""
        self.fills = [learn_fill(*pair) for pair in zip(columns, self.imputes, strict=True)]
        filled = zip(columns, self.fills, strict=True)
        self.levels = [Levels.of(column.fill_null(fill)) for column, fill in filled]
        codes = self._codes(columns)
        target = target if target.shape[1] <= MOST_MEANS else target[:, :0]
        wide = [i for i, levels in enumerate(self.levels) if len(levels) > MANY]
        self.facts = {i: facts_of(codes[:, i], target, len(self.levels[i])) for i in wide}
        own = [out_of_fold(codes[:, i], target, self.facts[i]) for i in wide]
        return self._views(codes, own)

    def transform(self, columns: list[pl.Series]) -> Views:
        """Encode rows with what was learned."""
        codes = self._codes(columns)
        return self._views(codes, [facts[codes[:, i]] for i, facts in self.facts.items()])

    def _codes(self, columns: list[pl.Series]) -> Array:
        parts = zip(columns, self.fills, self.levels, strict=True)
        return np.stack([levels.codes(column, fill) for column, fill, levels in parts], axis=1)

    def _views(self, codes: Array, facts: list[Array]) -> Views:
        def tensors() -> dict[str, Array]:
            found = {"category": codes.astype(np.int64)}
            if facts:
                found["category_facts"] = np.hstack(facts).astype(np.float32)
            return found

        def matrix() -> Matrix:
            # A tree must not chop up hundreds of codes: there the target means stand alone.
            told = {i for i, table in self.facts.items() if table.shape[1] > 1}
            kept = [i for i in range(len(self.names)) if i not in told]
            names = [self.names[i] for i in kept]
            for i, table in self.facts.items():
                means = [f"{self.names[i]} (target mean {j})" for j in range(table.shape[1] - 1)]
                names += [*means, f"{self.names[i]} (log count)"]
            values = np.hstack([codes[:, kept], *facts]).astype(np.float32)
            levels = [len(self.levels[i]) for i in kept]
            levels += [0] * (len(names) - len(levels))
            return Matrix(values, tuple(names), tuple(levels))

        return Views(tensors, matrix)

    def state(self) -> State:
        """What was learned, as JSON values and arrays."""
        arrays = {f"facts.{i}": facts.astype(np.float64) for i, facts in self.facts.items()}
        levels = [list(levels.names) for levels in self.levels]
        return State({"fills": self.fills, "levels": levels, "wide": list(self.facts)}, arrays)

    def restore(self, state: State) -> None:
        """Become the encoder that `state` described."""
        self.fills = list(state.values["fills"])
        self.levels = [Levels(list(names)) for names in state.values["levels"]]
        self.facts = {i: state.arrays[f"facts.{i}"] for i in state.values["wide"]}


def learn_fill(column: pl.Series, impute: float | str | None) -> str:
    """The level that a missing value counts as; one of its own unless the option says another."""
    if isinstance(impute, (int, float)):
        return f"{impute:.15g}"
    if impute is None or impute in FOR_NUMBERS:
        return MISSING
    commonest = Levels.of(column.drop_nulls()).names if impute == "mode" else [impute]
    return commonest[0] if commonest else MISSING


def facts_of(codes: Array, target: Array, levels: int) -> Array:
    """Target means of each code and the logarithm of its rows, shape (levels + 1, columns + 1).

    The unseen code 0 counts as one row: rare levels, which share it, have one.
    """
    counts = np.bincount(codes, minlength=levels + 1)
    counts[0] = 1
    return np.hstack([means_by(codes, target, levels), np.log(counts)[:, None]])


def out_of_fold(codes: Array, target: Array, facts: Array) -> Array:
    """The facts of training rows, target means from the rows of the other folds."""
    own = facts[codes]
    # By lot, for rows often come in rounds: the same level in every fifth row.
    fold = np.random.default_rng(0).permutation(len(codes)) % PARTS
    for part in range(PARTS):
        inside = fold == part
        others = means_by(codes[~inside], target[~inside], len(facts) - 1)
        own[inside, :-1] = others[codes[inside]]
    return own


def means_by(codes: Array, target: Array, levels: int) -> Array:
    """Smoothed mean of the target columns for each code, shape (levels + 1, columns).

    The unseen code 0 has the overall mean.
    """
    means = np.zeros((levels + 1, target.shape[1]))
    counts = np.bincount(codes, minlength=levels + 1)
    for k, column in enumerate(target.T):
        overall = column.mean()
        sums = np.bincount(codes, weights=column, minlength=levels + 1)
        means[:, k] = (sums + PRIOR * overall) / (counts + PRIOR)
        means[0, k] = overall
    return means
