"""What a project file may say, section by section."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from fieldcraft.core.digest import of_json


class Section(BaseModel):
    """A part of the project file; words it does not know are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def as_text(value: Any) -> Any:
    """Numbers and truth values as the text that stands in the table."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value


Text = Annotated[str, BeforeValidator(as_text)]


class Problem(Section):
    """What is to be predicted, and what good enough means.

    Attributes:
        question: the problem in words.
        target: column to predict.
        task: what the target asks.
        metric: by which models are compared; the task's default if left out.
        positive: the class that counts as yes, for a binary task.
    """

    question: str = ""
    target: str
    task: str
    metric: str | None = None
    positive: Text | None = None


class Sources(Section):
    """A ready-made split: files for training, validation and test."""

    train: str
    validation: str | None = None
    test: str | None = None


class ColumnSettings(BaseModel):
    """What one column holds: its kind, and whatever options that kind has."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str

    def options(self) -> dict[str, Any]:
        """The options that are set."""
        return dict(self.model_extra or {})


class Data(Section):
    """Where the rows are and how to read them.

    Attributes:
        source: the table, or the files of a ready-made split; relative to the project folder.
        names: column names, for files without a header.
        missing: words that stand for a missing value, beside an empty cell.
        columns: what each column holds.
        drop: columns that no model may use.
        time: column that orders the rows in time.
        group: column whose rows belong together (one patient, one machine).
    """

    source: str | Sources
    names: list[str] = Field(default_factory=list)
    missing: list[Text] = Field(default_factory=list)
    columns: dict[str, ColumnSettings]
    drop: list[str] = Field(default_factory=list)
    time: str | None = None
    group: str | None = None

    def sources(self) -> Sources:
        """The files, whichever way they were given."""
        return Sources(train=self.source) if isinstance(self.source, str) else self.source


class Clean(Section):
    """How the rows are cleaned before they are used.

    Attributes:
        clip: lowest and highest value of columns whose far values are cut off.
        conflicting: what happens to rows with the same cells and different targets.
    """

    clip: dict[str, Annotated[list[float], Field(min_length=2, max_length=2)]] = Field(
        default_factory=dict
    )
    conflicting: Literal["keep", "drop"] = "keep"


class Audit(Section):
    """Which findings are accepted by name although they would hold the run."""

    accept: list[str] = Field(default_factory=list)


class SplitSettings(Section):
    """How rows are divided.

    Attributes:
        rule: stratified, by group, by time, or given by files; chosen from the data if left out.
        tune: share of the rows for early stopping, calibration and thresholds.
        judge: share of the rows on which models are judged and compared.
        test: share of the rows that is sealed.
        seed: changes which rows go where.
    """

    rule: Literal["stratified", "group", "time"] = "stratified"
    tune: float = Field(default=0.075, gt=0, lt=1)
    judge: float = Field(default=0.075, gt=0, lt=1)
    test: float = Field(default=0.15, ge=0, lt=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def leave_rows_for_training(self) -> SplitSettings:
        """Something must be left to train on."""
        if self.tune + self.judge + self.test > 0.9:
            raise ValueError(
                f"tune, judge and test take {self.tune + self.judge + self.test:.0%} of the rows; "
                "set them so that at least 10 % are left for training"
            )
        return self


class Model(BaseModel):
    """The model to train: the name of a learner and that learner's own settings."""

    model_config = ConfigDict(extra="allow", frozen=True)
    learner: str = "network"

    def options(self) -> dict[str, Any]:
        """The learner's settings as they stand in the file."""
        return dict(self.model_extra or {})


class Train(Section):
    """How training runs.

    Attributes:
        seed: of everything random in training.
        budget: seconds that training may take, for all members of the model together.
    """

    seed: int = Field(default=0, ge=0)
    budget: float | None = Field(default=None, gt=0)


class Settings(Section):
    """A whole project file."""

    problem: Problem
    data: Data
    clean: Clean = Clean()
    audit: Audit = Audit()
    split: SplitSettings = SplitSettings()
    model: Model = Model()
    train: Train = Train()

    def digest(self, sections: tuple[str, ...]) -> str:
        """Digest of what some sections say; ``data.missing`` names one entry of a section."""
        values: dict[str, Any] = {}
        for path in sections:
            value: Any = self.model_dump(mode="json")
            for name in path.split("."):
                value = value[name]
            values[path] = value
        return of_json(values)
