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


ThresholdRule = Literal["accuracy", "balanced_accuracy", "f1", "mcc"]
Impute = Literal["mean", "median", "mode", "model"]
Scaling = Literal["quantile", "standard", "robust", "minmax", "none"]


class Problem(Section):
    """What is to be predicted, and what good enough means.

    Attributes:
        question: the problem in words.
        target: column to predict; a list of columns where one row may have many labels.
        task: what the target asks.
        metric: by which models are compared; the task's default if left out.
        bar: what the metric must reach for the model to be good enough.
        positive: the class that counts as yes, for a binary task.
        order: the classes from lowest to highest, for an ordinal task.
        costs: what each kind of mistake costs, as ``{true class: {decided class: cost}}``.
        threshold: above which probability a row is decided positive, or the metric that chooses
            it on tune rows: accuracy, balanced_accuracy, f1 or mcc.
        coverage: share of rows whose true value is to lie in the predicted set or interval.
        groups: columns by whose groups figures are told apart, to see whether a model is fair.
    """

    question: str = ""
    target: str | Annotated[list[str], Field(min_length=1)]
    task: str
    metric: str | None = None
    bar: float | None = None
    positive: Text | None = None
    order: list[Text] = Field(default_factory=list)
    costs: dict[str, dict[str, float]] = Field(default_factory=dict)
    threshold: Annotated[float, Field(gt=0, lt=1)] | ThresholdRule | None = None
    coverage: float = Field(default=0.9, gt=0, lt=1)
    groups: list[str] = Field(default_factory=list)

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns to predict."""
        return (self.target,) if isinstance(self.target, str) else tuple(self.target)


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


class Join(Section):
    """A further table whose columns are put beside the rows, one row of it for each key.

    Attributes:
        source: the table, relative to the project folder.
        on: columns that both tables have, by which rows find each other.
        columns: columns to take; all others if left out.
    """

    source: str
    on: str | Annotated[list[str], Field(min_length=1)]
    columns: list[str] = Field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        """The columns by which rows find each other."""
        return [self.on] if isinstance(self.on, str) else list(self.on)


class Data(Section):
    """Where the rows are and how to read them.

    Attributes:
        source: the table, or the files of a ready-made split; relative to the project folder.
        names: column names, for files without a header.
        missing: words that stand for a missing value, beside an empty cell.
        columns: what each column holds.
        join: further tables whose columns are put beside the rows.
        derive: columns computed from others, as SQL expressions such as ``total / months``.
        filter: rows to use, as an SQL condition such as ``age >= 18``.
        drop: columns that no model may use.
        time: column that orders the rows in time.
        entity: column whose rows belong together (one patient, one machine).
        weight: column that says how much a row counts.
        id: column that names rows, for reports and predictions.
        split: column that says which part a row is for: train, validation or test.
    """

    source: str | Sources
    names: list[str] = Field(default_factory=list)
    missing: list[Text] = Field(default_factory=list)
    columns: dict[str, ColumnSettings]
    join: list[Join] = Field(default_factory=list)
    derive: dict[str, str] = Field(default_factory=dict)
    filter: str | None = None
    drop: list[str] = Field(default_factory=list)
    time: str | None = None
    entity: str | None = None
    weight: str | None = None
    id: str | None = None
    split: str | None = None

    def sources(self) -> Sources:
        """The files, whichever way they were given."""
        return Sources(train=self.source) if isinstance(self.source, str) else self.source


class Cleaning(Section):
    """How a column is cleaned; what is left out is the encoder's own default.

    Attributes:
        impute: what fills gaps: mean, median, mode, model (told from the other numbers) or a
            constant.
        scale: how numbers are scaled for networks and linear models.
        clip: lowest and highest value, or ``auto`` for eight interquartile ranges around the
            middle half of the training rows.
        missing: ``drop`` leaves out training rows without a value here.
    """

    impute: Impute | float | None = None
    scale: Scaling | None = None
    clip: Annotated[list[float], Field(min_length=2, max_length=2)] | Literal["auto"] | None = None
    missing: Literal["keep", "drop"] = "keep"

    def options(self) -> dict[str, Any]:
        """What a column's encoder is told."""
        found = self.model_dump(mode="json", exclude_none=True)
        del found["missing"]
        return found


class Clean(Section):
    """How the rows are cleaned before they are used.

    Attributes:
        all: how every column is cleaned.
        columns: how single columns are, which goes first.
        conflicting: what happens to rows with the same cells and different targets.
    """

    all: Cleaning = Cleaning()
    columns: dict[str, Cleaning] = Field(default_factory=dict)
    conflicting: Literal["keep", "drop"] = "keep"


class Audit(Section):
    """Which findings are accepted by name although they would hold the run."""

    accept: list[str] = Field(default_factory=list)


class SplitSettings(Section):
    """How rows are divided.

    Attributes:
        rule: stratified, by entity or by time.
        tune: share of the rows for early stopping, calibration and thresholds.
        judge: share of the rows on which models are judged and compared.
        test: share of the rows that is sealed.
        gap: time before each later part of which no row is used, such as 7d or 12h; a number
            if time is one (rule time).
        seed: changes which rows go where.
    """

    rule: Literal["stratified", "entity", "time"] = "stratified"
    tune: float = Field(default=0.075, gt=0, lt=1)
    judge: float = Field(default=0.075, gt=0, lt=1)
    test: float = Field(default=0.15, ge=0, lt=1)
    gap: Annotated[str, Field(pattern=r"^\d+(\.\d+)?\s*[smhdw]$")] | float | None = None
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
    """The model to train: the name of a learner and that learner's own settings.

    Attributes:
        learner: its name.
        blend: whether the trained models are also tried together.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    learner: str = "network"
    blend: bool = True

    def options(self) -> dict[str, Any]:
        """The learner's settings as they stand in the file."""
        return dict(self.model_extra or {})


class Train(Section):
    """How training runs.

    Attributes:
        seed: of everything random in training.
        budget: seconds that training may take, for all members of the model together.
        device: where to train; a graphics card if there is one, unless said otherwise.
    """

    seed: int = Field(default=0, ge=0)
    budget: float | None = Field(default=None, gt=0)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


class Deploy(Section):
    """What the model must live within when it is put to work.

    Attributes:
        latency: milliseconds that one row may take.
        size: megabytes that the bundle may have.
        memory: megabytes that the process that predicts may take.
    """

    latency: float | None = Field(default=None, gt=0)
    size: float | None = Field(default=None, gt=0)
    memory: float | None = Field(default=None, gt=0)


class Card(Section):
    """What only the owner can say for the model card and its checklist.

    Attributes:
        owner: who answers for the model.
        use: for which decisions it may be used.
        misuse: for what it must not be used.
        people: who is touched by its decisions, and how.
        rights: by what right the data may be used for it.
        oversight: who can object to a decision, and to whom.
        watch: who watches the model at work, and what makes them stop it.
    """

    owner: str = ""
    use: str = ""
    misuse: str = ""
    people: str = ""
    rights: str = ""
    oversight: str = ""
    watch: str = ""


class Settings(Section):
    """A whole project file."""

    problem: Problem
    data: Data
    clean: Clean = Clean()
    audit: Audit = Audit()
    split: SplitSettings = SplitSettings()
    model: Model = Model()
    train: Train = Train()
    deploy: Deploy = Deploy()
    card: Card = Card()

    def digest(self, sections: tuple[str, ...]) -> str:
        """Digest of what some sections say; ``data.missing`` names one entry of a section."""
        values: dict[str, Any] = {}
        for path in sections:
            value: Any = self.model_dump(mode="json")
            for name in path.split("."):
                value = value[name]
            values[path] = value
        return of_json(values)
