"""A model without a project: trained in memory, kept as the bytes of its data files."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.bundle.archive import SUFFIX, pack
from fieldcraft.bundle.manifest import NAME, write_manifest
from fieldcraft.contracts import Json, Learner
from fieldcraft.core import catalogue, files
from fieldcraft.core.errors import BundleError
from fieldcraft.data.split import Fold
from fieldcraft.data.table import Schema
from fieldcraft.develop.candidate import outputs_of
from fieldcraft.develop.members import Effort, Member, fit_members, predictions
from fieldcraft.develop.rows import Development
from fieldcraft.develop.write import (
    Part,
    check_parity,
    members_of,
    pack_members,
    reference_profile,
)
from fieldcraft.evidence.metrics import Said

PROVED = 500  # rows that are kept, to prove that a bundle predicts the same
LEFT = ("done.json", "predictions.parquet")  # files that only training needs


@dataclass(frozen=True)
class Question:
    """What is asked of a table.

    Attributes:
        task: name of the task.
        about: what is known of the target, such as its classes.
        targets: names of the columns to predict.
    """

    task: str
    about: Json
    targets: Sequence[str]


@dataclass(frozen=True)
class Model:
    """A trained model: data files, what they are about, and some rows to prove a bundle by.

    Attributes:
        files: what its members learned, by path.
        described: what ``model.json`` says.
        question: what it answers.
        schema: of the columns that it reads.
        calibration: fitted on tune rows.
        profile: what each column looked like in training.
        digest: of the training rows.
        proof: some training rows as read, as Parquet.
    """

    files: Mapping[str, bytes]
    described: Json
    question: Question
    schema: Schema
    calibration: Json
    profile: Json
    digest: str
    proof: bytes

    def __getstate__(self) -> Json:
        return {name: value for name, value in vars(self).items() if name != "members"}

    @cached_property
    def members(self) -> list[Member]:
        """The trained members, restored when they are first needed."""
        with TemporaryDirectory(prefix="fieldcraft-") as place:
            return members_of(self.unpack(Path(place)), self.rows())

    def unpack(self, folder: Path) -> Part:
        """Write the data files into a folder."""
        for name, data in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return Part(folder)

    def rows(self) -> Development:
        """The rows that were kept, to be judged by every member; their target was not."""
        frame = pl.read_parquet(io.BytesIO(self.proof))
        none, every = np.zeros(0, dtype=np.int64), np.arange(frame.height)
        return Development(
            frame,
            self.schema.apply(frame),
            np.zeros(frame.height),
            list(range(1, frame.height + 1)),
            [Fold(none, none, every)] * self.described["members"],
            self.schema,
            catalogue.load("tasks", self.question.task),
            self.question.about,
            self.digest,
        )

    def said(self, frame: pl.DataFrame) -> Said:
        """What the model says of rows as read: outputs, decisions, and sets or intervals."""
        task, about = catalogue.load("tasks", self.question.task), self.question.about
        values = self.schema.apply(frame)
        outputs = np.mean([member.outputs(values) for member in self.members], axis=0)
        calibrated = task.calibrated(outputs, self.calibration)
        said: Said = task.read(calibrated, about, self.calibration)
        return said

    def write(self, path: Path) -> Json:
        """Write a bundle, a folder or a .zip file, and prove that it predicts the same.

        Args:
            path: of a new bundle, or of an older one that it replaces.

        Returns:
            The manifest.

        Raises:
            BundleError: something else is there, or the bundle does not predict the same.
        """
        if path.exists() and not replaceable(path):
            raise BundleError(
                "there is something else where the bundle is to be",
                seen=str(path),
                way_out="give a path that is not there yet, or that of an older bundle",
            )
        if path.suffix.lower() != SUFFIX:
            with files.whole_folder(path) as aside:
                return self.write_folder(aside)
        with TemporaryDirectory(prefix="fieldcraft-") as place:
            manifest = self.write_folder(Path(place))
            pack(Path(place), path)
        return manifest

    def write_folder(self, folder: Path) -> Json:
        """Write a bundle into an empty folder, and prove that it predicts the same."""
        rows, question, learner = self.rows(), self.question, self.described["learner"]
        with TemporaryDirectory(prefix="fieldcraft-") as place:
            part = self.unpack(Path(place) / learner)
            members = pack_members(folder, [part], rows, lambda text, share: None)
            files.write_json(folder / "profile.json", self.profile)
            manifest = write_manifest(folder, {
                "task": question.task, "about": question.about, "schema": self.schema.as_json(),
                "members": members, "learner": learner, "title": self.described["title"],
                "targets": list(question.targets), "question": "", "names": [], "id": None,
                "filter": None, "tables": [], "calibration": self.calibration, "importance": [],
                "lineage": {"data": self.digest},
            })  # fmt: skip
            said = [
                predictions(member, rows, rows.folds[number], number)
                for number, member in enumerate(self.members)
            ]
            pl.concat(said).write_parquet(part.folder / "predictions.parquet")
            check_parity(folder, [part], rows)
        return manifest


def replaceable(path: Path) -> bool:
    """Whether what is at a path may give way to a bundle: an older one, or an empty folder."""
    if path.is_dir():
        return (path / NAME).is_file() or not any(path.iterdir())
    return path.suffix.lower() == SUFFIX


def train_model(
    learner: Learner, options: Any, rows: Development, targets: Sequence[str], effort: Effort
) -> Model:
    """Train a learner on the folds of some rows, and calibrate it on their tune rows."""
    with TemporaryDirectory(prefix="fieldcraft-") as place:
        folder = Path(place) / learner.name
        described = fit_members(learner, options, rows, folder, effort)
        table = pl.read_parquet(folder / "predictions.parquet")
        kept = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in LEFT]
        found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in kept}
    numbers = range(len(rows.folds))
    outputs = np.concatenate([outputs_of(table, number, "tune") for number in numbers])
    tuned = np.concatenate([fold.tune for fold in rows.folds])
    calibration = rows.task.calibrate(outputs, rows.y[tuned], rows.about, rows.weights_at(tuned))
    calibrated = rows.task.calibrated(outputs, calibration)
    decided = rows.task.decide(rows.task.read(calibrated, rows.about, calibration), rows.about)
    return Model(
        found,
        described,
        Question(rows.task.name, rows.about, targets),
        rows.schema,
        calibration,
        reference_profile(rows, decided),
        rows.digest,
        as_parquet(rows.frame[tuned[:PROVED].tolist()].select(c.name for c in rows.schema.needed)),
    )


def as_parquet(frame: pl.DataFrame) -> bytes:
    """The bytes of a frame as a Parquet file."""
    stream = io.BytesIO()
    frame.write_parquet(stream)
    return stream.getvalue()
