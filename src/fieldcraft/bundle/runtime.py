"""Run a bundle: NumPy, Polars and onnxruntime; no PyTorch, no project."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from fieldcraft.bundle.archive import unpacked
from fieldcraft.bundle.encoders import EncoderSet, Read
from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.contracts import Array, Json, Task
from fieldcraft.core import catalogue, files
from fieldcraft.core.errors import BundleError, FieldcraftError
from fieldcraft.data.prepare import join
from fieldcraft.data.read import from_frame
from fieldcraft.data.table import Schema, kind_named
from fieldcraft.evidence.metrics import Said, together


@dataclass(frozen=True)
class PackedMember:
    """One member of a packaged model."""

    encoders: EncoderSet
    run: Callable[[Mapping[str, Array]], Array]
    view: Literal["tensors", "matrix"]
    scale: Json
    weight: float = 1.0
    fold: int = 0

    def outputs(self, read: Read, task: Task) -> Array:
        """Outputs for rows, in units of the target."""
        encoded = self.encoders.transform(read)
        inputs = (
            encoded.tensors() if self.view == "tensors" else {"matrix": encoded.matrix().values}
        )
        return task.unscaled(self.run(inputs), self.scale)


@dataclass(frozen=True)
class Beside:
    """A further table that a bundle joins to rows, and its key columns."""

    table: pl.DataFrame
    on: tuple[str, ...]


class Bundle:
    """A packaged model: rows in, predictions out."""

    def __init__(
        self, manifest: Json, members: Sequence[PackedMember], tables: Sequence[Beside] = ()
    ) -> None:
        """Put a bundle together; `load_bundle` is the usual way to one."""
        self.manifest = manifest
        self.tables = tuple(tables)
        self.members = tuple(members)
        self.schema = Schema.from_json(manifest["schema"])
        self.task: Task = catalogue.load("tasks", manifest["task"])
        self.about: Json = manifest["about"]
        self.profile: Json = {}  # what each column looked like in training

    @property
    def model_id(self) -> str:
        """Digest of everything that decides about predictions."""
        return str(self.manifest["model_id"])

    @property
    def encoders(self) -> EncoderSet:
        """Those that read all columns; some members may do with fewer kinds."""
        return widest(self.members)

    @property
    def file_columns(self) -> list[str]:
        """The columns whose cells name files, such as photos."""
        return [c.name for c in self.schema.needed if kind_named(c.kind).holds == "files"]

    @property
    def columns(self) -> list[str]:
        """The columns that a row must have."""
        brought = {name for beside in self.tables for name in beside.table.columns}
        keys = [name for beside in self.tables for name in beside.on]
        own = [c.name for c in self.schema.needed if c.name not in brought]
        return list(dict.fromkeys([*own, *keys]))

    def joined(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with the columns that the bundle's own tables bring."""
        for beside in self.tables:
            brought = [name for name in beside.table.columns if name not in beside.on]
            if not set(brought) <= set(rows.columns):
                rows = join(rows.drop(brought, strict=False), beside.table, beside.on)
        return rows

    def predict(self, rows: Any) -> pl.DataFrame:
        """Predictions for rows in their order.

        Args:
            rows: a Polars or pandas frame with the model's columns; others are ignored.

        Returns:
            The column ``prediction``; for classes and labels ``probability_<name>`` and the set
            that holds the truth at the stated rate, for amounts the interval that does.

        Raises:
            DataError: a column is missing, or the rows are not a table.
        """
        return self.task.decide(self.read(from_frame(rows)), self.about)

    def read(self, rows: pl.DataFrame) -> Said:
        """What the model says about rows: outputs, decisions, and sets or intervals."""
        return self.said(self.outputs(rows))

    def said(self, outputs: Array) -> Said:
        """What outputs mean: decisions, and sets or intervals."""
        return self.task.read(outputs, self.about, self.manifest["calibration"])

    def outputs(self, rows: pl.DataFrame) -> Array:
        """Calibrated probabilities, (rows, classes) or (rows, labels), or values, (rows, 1)."""
        return self.outputs_of(self.schema.apply(self.joined(rows)))

    def outputs_of(self, values: pl.DataFrame) -> Array:
        """The same of rows that the schema has parsed."""
        if not values.height:
            return np.zeros((0, self.task.width(self.about)))
        parts = [self.mixed(piece) for piece in self.encoders.pieces(values)]
        return self.task.calibrated(np.concatenate(parts), self.manifest["calibration"])

    def mixed(self, values: pl.DataFrame) -> Array:
        """The members' outputs for parsed rows, averaged by their weights."""
        return self.averaged(values, self.members)

    def averaged(self, values: pl.DataFrame, members: Sequence[PackedMember]) -> Array:
        """The outputs of some members for parsed rows, averaged by their weights."""
        read = widest(members).read(values)
        whole = sum(member.weight for member in members)
        found = [member.weight / whole * member.outputs(read, self.task) for member in members]
        return np.asarray(np.sum(found, axis=0))

    def judged(self, rows: pl.DataFrame, folds: Array) -> Said:
        """What the members of one fold say about each row: that whose judge rows they are.

        A bundle of a small table has members for each of its folds, which were trained on the
        judge rows of the others, and are calibrated each by its own tune rows.

        Args:
            rows: as read.
            folds: number of the fold of each row, shape (rows,); of a bundle of one fold, 0.
        """
        values = self.schema.apply(self.joined(rows))
        found, places = [], []
        for number in np.unique(folds):
            mine = np.flatnonzero(folds == number)
            members = [member for member in self.members if member.fold == number]
            pieces = widest(members).pieces(values[mine.tolist()])
            raw = np.concatenate([self.averaged(piece, members) for piece in pieces])
            calibration = self.manifest["calibrations"][int(number)]
            outputs = self.task.calibrated(raw, calibration)
            found.append(self.task.read(outputs, self.about, calibration))
            places.append(mine)
        return together(found).at(np.argsort(np.concatenate(places)))


def widest(members: Sequence[PackedMember]) -> EncoderSet:
    """The encoders of the member that reads the most kinds of column."""
    return max((member.encoders for member in members), key=lambda found: len(found.encoders))


def load_bundle(path: str | Path) -> Bundle:
    """Load a bundle, a folder or a .zip file, after checking every file of it.

    >>> load_bundle("nowhere")
    Traceback (most recent call last):
    ...
    fieldcraft.core.errors.BundleError: there is no bundle here
      seen: no manifest.json in nowhere
      way out: give the path of a bundle (folder or .zip file); `fieldcraft run` makes one

    Raises:
        BundleError: there is no bundle, it is not what was packaged, or it cannot be run.
    """
    place = Path(path)
    if not place.is_file():
        return load_folder(place)
    with unpacked(place) as folder:
        return load_folder(folder)


def load_folder(folder: Path) -> Bundle:
    """Load a bundle from its folder, and try it on a row without values.

    Raises:
        BundleError: there is no bundle, it is not what was packaged, or it cannot be run.
    """
    manifest = read_manifest(folder)
    try:
        tables = [
            Beside(pl.read_parquet(folder / table["file"]), tuple(table["on"]))
            for table in manifest["tables"]
        ]
        members = [load_packed(folder / m["folder"], m) for m in manifest["members"]]
        bundle = Bundle(manifest, members, tables)
        bundle.profile = files.read_json(folder / "profile.json")
        empty = [pl.Series(name, [None], pl.String) for name in bundle.columns]
        bundle.predict(pl.DataFrame(empty))
    except FieldcraftError:
        raise
    except Exception as error:  # whatever a parser makes of files that are no such files
        raise BundleError(
            "the bundle is what its manifest says, but cannot be run",
            seen=f"{type(error).__name__}: {error}".splitlines()[0][:200],
            way_out="package the project again: fieldcraft run",
        ) from error
    return bundle


def load_packed(folder: Path, about: Mapping[str, Any]) -> PackedMember:
    """One member from its folder in a bundle."""
    form = catalogue.load("bundle.formats", about["format"])
    return PackedMember(
        EncoderSet.load(folder),
        form.load(folder / f"model{form.suffix}"),
        about["view"],
        files.read_json(folder / "scale.json"),
        about["weight"],
        about.get("fold", 0),
    )
