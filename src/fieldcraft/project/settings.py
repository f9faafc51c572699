"""What a project file may say, section by section."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from fieldcraft.core import catalogue
from fieldcraft.core.digest import of_json
from fieldcraft.core.words import seconds

Entry = TypeVar("Entry")


class Section(BaseModel):
    """A part of the project file; words it does not know are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def as_text(value: Any) -> Any:
    """Numbers, days and truth values as the text that stands in the table."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value) if isinstance(value, (int, float)) else value


def as_seconds(value: Any) -> Any:
    """A length of time such as 5m in seconds."""
    found = seconds(value) if isinstance(value, str) else None
    return value if found is None else found


def each_once(values: list[Entry]) -> list[Entry]:
    """Make sure that nothing stands in a list twice."""
    twice = next((value for i, value in enumerate(values) if value in values[:i]), None)
    if twice is not None:
        raise ValueError(f"{twice} stands there twice")
    return values


# Types with the words in which a mistake is told.
TEXT = ["string", "number", "boolean"]  # as YAML may read what is meant as text
LENGTH = r"^\s*\d+(\.\d+)?\s*[smhdwSMHDW]\s*$"
Text = Annotated[
    str, BeforeValidator(as_text), WithJsonSchema({"type": TEXT, "description": "a text"})
]
Name = Annotated[
    str,
    BeforeValidator(as_text),
    WithJsonSchema({"type": TEXT, "description": "the name of a column"}),
]
File = Annotated[str, Field(description="the path of a table")]
Sql = Annotated[str, Field(description="an SQL expression")]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Share = Annotated[Number, Field(gt=0, lt=1)]
Length = Annotated[
    str, Field(pattern=LENGTH, description="a length of time such as 90s, 5m, 12h or 7d")
]
Seconds = Annotated[
    Number,
    Field(gt=0),
    BeforeValidator(as_seconds),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "description": "a number of seconds above 0",
                },
                {"type": "string", "pattern": LENGTH, "description": "a time such as 90s or 5m"},
            ]
        }
    ),
]
Whole = Annotated[int, Field(strict=True, ge=0)]
Names = Annotated[list[Name], AfterValidator(each_once)]

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
        reject: share of rows like those seen that may be rejected, the model being least sure of
            them; what is like none of the classes is then rejected too.
        groups: columns by whose groups figures are told apart, to see whether a model is fair.
    """

    question: Text = ""
    target: Name | Annotated[Names, Field(min_length=1)]
    task: str
    metric: str | None = None
    bar: Number | None = None
    positive: Text | None = None
    order: Annotated[list[Text], AfterValidator(each_once)] = Field(default_factory=list)
    costs: dict[str, dict[str, Annotated[Number, Field(ge=0)]]] = Field(
        default_factory=dict, description="costs of mistakes, such as {yes: {no: 5}}"
    )
    threshold: Share | ThresholdRule | None = None
    coverage: Share = 0.9
    reject: Share | None = None
    groups: Names = Field(default_factory=list)

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns to predict."""
        return (self.target,) if isinstance(self.target, str) else tuple(self.target)


class Sources(Section):
    """A ready-made split.

    Attributes:
        train: file of the training rows.
        validation: file of the rows to tune and judge on; some of the training rows if left out.
        test: file of the rows that are sealed; some of the training rows if left out.
    """

    train: File
    validation: File | None = None
    test: File | None = None


class ColumnSettings(BaseModel):
    """What one column holds, with whatever options its kind has.

    Attributes:
        kind: what a cell is, such as number or category.
    """

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

    source: File
    on: Name | Annotated[Names, Field(min_length=1)]
    columns: Names = Field(default_factory=list)

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

    source: File | Sources
    names: Names = Field(default_factory=list)
    missing: list[Text] = Field(default_factory=list)
    columns: dict[str, ColumnSettings] = Field(
        description="columns with what they hold, such as {age: {kind: number}}"
    )
    join: list[Join] = Field(default_factory=list)
    derive: dict[str, Sql] = Field(
        default_factory=dict, description="columns with expressions, such as {rate: total / months}"
    )
    filter: Sql | None = None
    drop: list[Name] = Field(default_factory=list)
    time: Name | None = None
    entity: Name | None = None
    weight: Name | None = None
    id: Name | None = None
    split: Name | None = None

    def sources(self) -> Sources:
        """The files, whichever way they were given."""
        return Sources(train=self.source) if isinstance(self.source, str) else self.source


class Cleaning(Section):
    """How a column is cleaned; what is left out is the encoder's own default.

    Attributes:
        impute: what fills gaps: mean, median, mode, model (told from the other numbers) or a
            constant: a number, for categories also a word.
        scale: how numbers are scaled for networks and linear models.
        clip: lowest and highest value, or ``auto`` for eight interquartile ranges around the
            middle half of the training rows.
        missing: ``drop`` leaves out training rows without a value here.
    """

    impute: Impute | Number | Annotated[str, Field(min_length=1)] | None = None
    scale: Scaling | None = None
    clip: Annotated[list[Number], Field(min_length=2, max_length=2)] | Literal["auto"] | None = None
    missing: Literal["keep", "drop"] = "keep"

    @model_validator(mode="after")
    def clip_upwards(self) -> Cleaning:
        """The lowest value comes first."""
        if isinstance(self.clip, list) and self.clip[0] >= self.clip[1]:
            raise ValueError(
                f"clip goes from {self.clip[0]:g} to {self.clip[1]:g}; "
                "name the lowest value first, then the highest"
            )
        return self

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
    columns: dict[str, Cleaning] = Field(
        default_factory=dict,
        description="columns with how they are cleaned, such as {age: {clip: auto}}",
    )
    conflicting: Literal["keep", "drop"] = "keep"


class Audit(Section):
    """What is accepted although it looks wrong.

    Attributes:
        accept: findings, by name, that are not to hold the run.
    """

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
        near: whether rows whose texts or photos are nearly the same stay together.
        seed: changes which rows go where.
    """

    rule: Literal["stratified", "entity", "time"] = "stratified"
    tune: Share = 0.075
    judge: Share = 0.075
    test: Number = Field(default=0.15, ge=0, lt=1)
    gap: Length | Annotated[Number, Field(ge=0)] | None = None
    near: Literal["together", "apart"] = "together"
    seed: Whole = 0

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
    """The model to train: a learner, that learner's own settings, and how columns are encoded.

    Under the name of a kind of column stand options for all columns of that kind, such as
    ``text: {encoder: minilm}``; those under a column itself go first.

    Attributes:
        learner: its name.
        blend: whether the trained models are also tried together.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    learner: str = "network"
    blend: bool = True

    def options(self) -> dict[str, Any]:
        """The learner's settings as they stand in the file."""
        kinds = catalogue.names("kinds")
        return {
            name: value for name, value in (self.model_extra or {}).items() if name not in kinds
        }

    def kinds(self) -> dict[str, Any]:
        """Options for all columns of a kind, by its name."""
        own = self.options()
        return {name: value for name, value in (self.model_extra or {}).items() if name not in own}


class Train(Section):
    """How training runs.

    Attributes:
        seed: of everything random in training.
        budget: time that training may take, for all members of the model together: seconds, or
            such as 5m.
        device: where to train; a graphics card if there is one, unless said otherwise.
    """

    seed: Whole = 0
    budget: Seconds | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


class Serve(Section):
    """How the model is served.

    Attributes:
        route: a further path for predictions, such as /predict_sentiment.
        invalid: status of the answer to rows that do not fit the model.
        extra: what happens to columns that the model does not know.
        private: whether errors keep names of columns and values to themselves.
        rows: that one request may hold.
        files: whether photos may be named by path or address; otherwise requests carry them.
        log: share of the requests that the prediction log records.
        without: columns that the prediction log leaves out.
    """

    route: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_.~-]+)+$", description="a path")] | None = (
        None
    )
    invalid: Literal[400, 422] = 422
    extra: Literal["ignore", "refuse"] = "ignore"
    private: bool = False
    rows: Annotated[int, Field(strict=True, gt=0)] = 10_000
    files: bool = False
    log: Annotated[Number, Field(ge=0, le=1)] = 1.0
    without: Names = Field(default_factory=list)


SEASONS = {"day": 86_400.0, "week": 604_800.0}  # in seconds


class Watch(Section):
    """How the model is watched at work, and who is told.

    Attributes:
        rows: of a window.
        every: length of a window instead, such as 1h; for the prediction log.
        season: whether windows of a length of time are compared with those of the same time of
            the day or of the week before them.
        least: rows that a window must have; one of fewer is not judged.
        tolerance: Jensen-Shannon distance, from 0 to 1, that is no drift.
        effect: least distance worth an alert in columns that matter most.
        alarms: false ones that are expected a month at most.
        server: address of the server, whose latency and errors are told.
        file: that each alert is added to, as a line of JSON.
        command: words of a command that gets each alert on its standard input.
        webhook: address that each alert is posted to.
    """

    rows: Annotated[int, Field(strict=True, gt=0)] = 500
    every: Seconds | None = None
    season: Literal["day", "week"] | None = None
    least: Annotated[int, Field(strict=True, gt=0)] = 50
    tolerance: Annotated[Number, Field(ge=0, lt=1)] = 0.02
    effect: Annotated[Number, Field(ge=0, lt=1)] = 0.04
    alarms: Annotated[Number, Field(gt=0)] = 0.35
    server: str | None = None
    file: str | None = None
    command: list[str] = Field(default_factory=list)
    webhook: Annotated[str, Field(pattern=r"^https?://", description="an address")] | None = None

    @model_validator(mode="after")
    def seasons_of_windows(self) -> Watch:
        """A day or a week is so many windows."""
        if self.season is None:
            return self
        windows = SEASONS[self.season] / self.every if self.every else 0.0
        if windows < 2 or windows != round(windows):
            seen = f"{self.every:g} s" if self.every else "left out"
            raise ValueError(
                f"a season of a {self.season} is cut into windows of a length of time, and `every` "
                f"is {seen}; set it to a part of a {self.season}, such as 1h"
            )
        return self


class Retrain(Section):
    """How a challenger is trained, and what it must not be worse in.

    Attributes:
        policy: what it learns from: all rows (append), the newest (window), or all with older
            ones counted less (weight).
        rows: training rows of the policy window; as many as before if left out.
        weight: of older training rows, for the policy weight, each time anew.
        least: new labelled rows, below which nothing is trained.
        slower: times as long as the champion that it may take for a row.
        larger: times as large as the champion that it may be.
    """

    policy: Literal["append", "window", "weight"] = "append"
    rows: Annotated[int, Field(strict=True, gt=0)] | None = None
    weight: Annotated[Number, Field(gt=0, le=1)] = 0.5
    least: Annotated[int, Field(strict=True, gt=0)] = 50
    slower: Annotated[Number, Field(gt=0)] = 2.0
    larger: Annotated[Number, Field(gt=0)] = 2.0


class Deploy(Section):
    """What the model must live within at work, how it is served, watched and trained again.

    Attributes:
        latency: milliseconds that one row may take.
        size: megabytes that the bundle may have.
        memory: megabytes that the process that predicts may take.
        serve: how it is served.
        watch: how it is watched.
        retrain: how a challenger is trained and judged.
    """

    latency: Annotated[Number, Field(gt=0)] | None = None
    size: Annotated[Number, Field(gt=0)] | None = None
    memory: Annotated[Number, Field(gt=0)] | None = None
    serve: Serve = Serve()
    watch: Watch = Watch()
    retrain: Retrain = Retrain()


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
        """Digest of what some sections say.

        ``data.missing`` names one entry of a section, ``model.options`` what the learner is told,
        ``model.kinds`` how columns are encoded.
        """
        whole, values = self.model_dump(mode="json"), dict[str, Any]()
        own = {name: whole["model"][name] for name in Model.model_fields}
        whole["model"] = {**own, "options": self.model.options(), "kinds": self.model.kinds()}
        for path in sections:
            value: Any = whole
            for name in path.split("."):
                value = value[name]
            values[path] = value
        return of_json(values)
