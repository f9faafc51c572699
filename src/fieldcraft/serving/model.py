"""A bundle at work: many requests at once become one batch, and each gets its own answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.contracts import Array, Json
from fieldcraft.core import files
from fieldcraft.data.frames import column_as, type_of
from fieldcraft.evidence.metrics import Said
from fieldcraft.serving.answers import answers
from fieldcraft.serving.asked import Row
from fieldcraft.serving.novelty import Novelty
from fieldcraft.serving.trouble import Fault, Trouble

MOST_SHOWN = 60  # characters of a value in an error
ISO_DAY = "%Y-%m-%d"
NATIVE = {"number": frozenset({int, float}), "boolean": frozenset({bool})}
VERSION = 16  # characters of the model's id that name it


@dataclass(frozen=True)
class Manners:
    """How a model deals with callers.

    Attributes:
        extra: what happens to columns that the model does not know.
        private: whether errors keep names of columns and values to themselves.
        rows: that one request may hold.
        files: whether cells may name files and addresses that this machine can read; otherwise
            photos come in the request, as ``data:`` addresses.
    """

    extra: str = "ignore"
    private: bool = False
    rows: int = 10_000
    files: bool = False


@dataclass
class Told:
    """What a batch of requests came to.

    Attributes:
        answers: of each request, in order: answers of its rows, or what is wrong with it.
        tally: what is to be counted: rows, unseen words, numbers out of range, and more.
        recorded: the rows that were predicted, for the log: places in the batch, and what was said.
        values: all rows of the batch that could be read, parsed.
        owner: the request of each of them.
    """

    answers: list[list[Json] | Trouble]
    tally: Counter[tuple[str, ...]] = field(default_factory=Counter)
    recorded: list[tuple[Array, Said]] = field(default_factory=list)
    values: pl.DataFrame = field(default_factory=pl.DataFrame)
    owner: Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


class Model:
    """A bundle with what it takes to answer requests."""

    def __init__(
        self, bundle: Bundle, profile: Json, manners: Manners | None = None, name: str = "model"
    ) -> None:
        """Put a model to work; `load_model` is the usual way to one."""
        self.bundle = bundle
        self.name = name
        self.manners = manners or Manners()
        self.version = bundle.model_id[:VERSION]
        self.columns = bundle.columns
        self.known = frozenset(self.columns)
        self.novelty = Novelty(profile["columns"])
        self.needed = {column.name: column for column in bundle.schema.needed}
        self.types = {name: self.json_type(name) for name in self.columns}

    def json_type(self, name: str) -> str:
        """What the cells of a column are: number, boolean, date (an ISO day), moment or string."""
        if name not in self.needed:
            return "string"  # the key of a table that the bundle joins
        column = self.needed[name]
        kind = self.bundle.schema.type_of(column)
        if kind.is_temporal():
            return "date" if column.options.get("format", ISO_DAY) == ISO_DAY else "moment"
        return "boolean" if kind == pl.Boolean else "number" if kind.is_numeric() else "string"

    def answer(self, requests: Sequence[Sequence[Row]]) -> Told:
        """Answer requests of several rows each, together; what is wrong with one harms no other."""
        told = Told([[] for _ in requests])
        whole = [number for number, rows in enumerate(requests) if self.fits(rows, number, told)]
        rows = [row for number in whole for row in requests[number]]
        if not rows:
            return told
        owner = np.repeat(whole, [len(requests[number]) for number in whole])
        frame, nested = self.frame(rows)
        values = self.bundle.schema.apply(self.bundle.joined(frame))
        for number in self.unreadable(frame, values, owner, nested, told):
            kept = owner != number
            values, owner, frame = values.filter(kept), owner[kept], frame.filter(kept)
        if len(owner):
            self.predict(values, owner, told)
        return told

    def fits(self, rows: Sequence[Row], number: int, told: Told) -> bool:
        """Whether the rows of a request have the model's columns; if not, it is told so."""
        faults = []
        for place, row in enumerate(rows):
            if row.keys() == self.known:
                continue
            absent = [name for name in self.columns if name not in row]
            faults += [Fault(f"the column {n!r} is missing; send null for no value", place, n)
                       for n in absent]  # fmt: skip
            further = [name for name in row if name not in self.known]
            told.tally["extra_columns",] += len(further)
            if self.manners.extra == "refuse":
                faults += [Fault("the model does not know this column", place, n) for n in further]
        if faults:
            told.answers[number] = Trouble("bad_rows", "some rows do not fit the model", faults)
        return not faults

    def frame(self, rows: Sequence[Row]) -> tuple[pl.DataFrame, list[tuple[int, str]]]:
        """The cells of rows; those that are lists or objects are missing, and named beside.

        Columns of one type are made in one piece, as each call of Polars takes time.
        """
        nested: list[tuple[int, str]] = []
        alike: dict[pl.DataType, list[tuple[str, list[Any]]]] = {}
        for name in self.columns:
            cells = [row[name] for row in rows]
            if any(map(is_nested, cells)):
                nested += [(row, name) for row, cell in enumerate(cells) if is_nested(cell)]
                cells = [None if is_nested(cell) else cell for cell in cells]
            kind = self.type_for(name, cells)
            alike.setdefault(kind, []).append((name, cells))
        made = {}
        for kind, columns in alike.items():
            whole = column_as("", list(chain.from_iterable(c for _, c in columns)), kind)
            for place, (name, _) in enumerate(columns):
                made[name] = whole.slice(place * len(rows), len(rows)).rename(name)
        return pl.DataFrame([made[name] for name in self.columns]), nested

    def type_for(self, name: str, cells: Sequence[Any]) -> pl.DataType:
        """The type in which cells are read: what one means must not depend on those beside it.

        Numbers and truth values are read as such where all cells of their column are, else as
        text, which is read the same; all other columns are text.
        """
        types = set(map(type, cells)) - {type(None)}
        if not types <= NATIVE.get(self.types[name], frozenset()):
            return pl.String()
        whole = (abs(cell) for cell in cells if type(cell) is int) if int in types else ()
        return type_of(types, max(whole, default=0))

    def unreadable(
        self,
        frame: pl.DataFrame,
        values: pl.DataFrame,
        owner: Array,
        nested: Sequence[tuple[int, str]],
        told: Told,
    ) -> list[int]:
        """The requests with a value that its column cannot hold; they are told so."""
        faults: dict[int, list[Fault]] = {}
        for row, name in nested:
            number, place = place_of(row, owner)
            fault = Fault("send a single value, not a list or an object", place, name)
            faults.setdefault(number, []).append(fault)
        for name, column in self.needed.items():
            if name not in frame.columns or name not in values.columns:
                continue
            if values[name].null_count() == frame[name].null_count():
                continue
            given = self.bundle.schema.stripped(frame[name])
            odd = (values[name].is_null() & given.is_not_null()).arg_true().to_list()
            for row in odd:
                number, place = place_of(row, owner)
                shown = str(given[row])[:MOST_SHOWN]
                fault = Fault(f"{shown!r} is no {column.kind}", place, name)
                faults.setdefault(number, []).append(fault)
        for number, found in faults.items():
            told.answers[number] = Trouble("bad_rows", "some values do not fit the model", found)
        return list(faults)

    def predict(self, values: pl.DataFrame, owner: Array, told: Told) -> None:
        """Fill in the answers of requests whose rows are fine."""
        new, beyond, unseen = self.novelty.of(values)
        for code, counts in (("out_of_range", beyond), ("unseen", unseen)):
            told.tally.update({(code, name): count for name, count in counts.items()})
        told.tally["ood",] += int(new.sum())
        told.values, told.owner, told.recorded = values, owner, self.said(values, owner, told)
        for places, said in told.recorded:
            found = answers(self.bundle.task, said, self.bundle.about)
            for place, answer in zip(places.tolist(), found, strict=True):
                answer["ood"] = bool(new[place])
                told.answers[int(owner[place])].append(answer)  # type: ignore[union-attr]
            told.tally["rows",] += len(found)

    def said(self, values: pl.DataFrame, owner: Array, told: Told) -> list[tuple[Array, Said]]:
        """What the model says of rows, all at once; if that fails, of each request by itself."""
        every = np.arange(len(owner))
        try:
            return [(every, self.sound(values))]
        except Exception:  # noqa: BLE001  whatever one poisoned row makes a library raise
            found = []
            for number in np.unique(owner):
                places = every[owner == number]
                try:
                    found.append((places, self.sound(values[places.tolist()])))
                except Trouble as trouble:
                    told.answers[int(number)] = trouble
                except Exception as error:  # noqa: BLE001
                    told.answers[int(number)] = Trouble(
                        "model_error", f"the model failed on these rows: {type(error).__name__}"
                    )
            return found

    def sound(self, values: pl.DataFrame) -> Said:
        """What the model says of parsed rows, if that is sound.

        Raises:
            Trouble: it says something that is no number, or not something of each row.
        """
        outputs = self.bundle.outputs_of(values)
        if len(outputs) != values.height:
            raise Trouble("bad_shape", "the model did not answer for every row")
        if not np.isfinite(outputs).all():
            raise Trouble("nonfinite_output", "the model answered with something that is no number")
        return self.bundle.said(outputs)


def is_nested(value: Any) -> bool:
    """Whether a value of JSON is not a single one."""
    return isinstance(value, (list, dict))


def place_of(row: int, owner: Array) -> tuple[int, int]:
    """The request of a row of a batch, and its place there."""
    number = int(owner[row])
    return number, row - int(np.searchsorted(owner, number))


def load_model(folder: Path, manners: Manners | None = None, name: str = "model") -> Model:
    """Load a bundle and put it to work.

    Raises:
        BundleError: it cannot be trusted or run.
    """
    bundle = load_bundle(folder)
    return Model(bundle, files.read_json(folder / "profile.json"), manners, name)
