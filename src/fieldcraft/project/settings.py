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

from fieldcraft.core import catalog
from fieldcraft.core.digest import of_json
from fieldcraft.core.formatting import parse_duration

ItemT = TypeVar("ItemT")


class SettingsSection(BaseModel):
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
    duration_seconds = parse_duration(value) if isinstance(value, str) else None
    return value if duration_seconds is None else duration_seconds


def require_unique(values: list[ItemT]) -> list[ItemT]:
    """Make sure that nothing stands in a list twice."""
    duplicate = next((value for i, value in enumerate(values) if value in values[:i]), None)
    if duplicate is not None:
        raise ValueError(f"{duplicate} stands there twice")
    return values


# Types with the words in which a mistake is told.
YAML_TEXT_TYPES = ["string", "number", "boolean"]  # as YAML may read what is meant as text
DURATION_PATTERN = r"^\s*\d+(\.\d+)?\s*[smhdwSMHDW]\s*$"
TextValue = Annotated[
    str,
    BeforeValidator(as_text),
    WithJsonSchema({"type": YAML_TEXT_TYPES, "description": "a text"}),
]
ColumnName = Annotated[
    str,
    BeforeValidator(as_text),
    WithJsonSchema({"type": YAML_TEXT_TYPES, "description": "the name of a column"}),
]
TablePath = Annotated[str, Field(description="the path of a table")]
SqlExpression = Annotated[str, Field(description="an SQL expression")]
FiniteNumber = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Fraction = Annotated[FiniteNumber, Field(gt=0, lt=1)]
Duration = Annotated[
    str, Field(pattern=DURATION_PATTERN, description="a length of time such as 90s, 5m, 12h or 7d")
]
DurationSeconds = Annotated[
    FiniteNumber,
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
                {
                    "type": "string",
                    "pattern": DURATION_PATTERN,
                    "description": "a time such as 90s or 5m",
                },
            ]
        }
    ),
]
NonNegativeWhole = Annotated[int, Field(strict=True, ge=0)]
ColumnNames = Annotated[list[ColumnName], AfterValidator(require_unique)]

ThresholdRule = Literal["accuracy", "balanced_accuracy", "f1", "mcc"]
Impute = Literal["mean", "median", "mode", "model"]
Scaling = Literal["quantile", "standard", "robust", "minmax", "none"]


class ProblemSettings(SettingsSection):
    """What is to be predicted, and what good enough means.

    Attributes:
        description: the problem in words.
        target: column to predict; a list of columns where one row may have many labels.
        task: what the target asks.
        metric: by which models are compared; the task's default if left out.
        goal: what the metric must reach for the model to be good enough.
        positive_class: the class that counts as yes, for a binary task.
        class_order: the classes from lowest to highest, for an ordinal task.
        costs: what each kind of mistake costs, as ``{true class: {decided class: cost}}``.
        threshold: above which probability a row is decided positive, or the metric that chooses
            it on tune rows: accuracy, balanced_accuracy, f1 or mcc.
        coverage: share of rows whose true value is to lie in the predicted set or interval.
        reject_fraction: share of rows like those seen that may be rejected, the model being least sure of
            them; what is like none of the classes is then rejected too.
        sensitive_features: columns by whose groups figures are told apart, to see whether a model is fair.
    """

    description: TextValue = ""
    target: ColumnName | Annotated[ColumnNames, Field(min_length=1)]
    task: str
    metric: str | None = None
    goal: FiniteNumber | None = None
    positive_class: TextValue | None = None
    class_order: Annotated[list[TextValue], AfterValidator(require_unique)] = Field(
        default_factory=list
    )
    costs: dict[str, dict[str, Annotated[FiniteNumber, Field(ge=0)]]] = Field(
        default_factory=dict, description="costs of mistakes, such as {yes: {no: 5}}"
    )
    threshold: Fraction | ThresholdRule | None = None
    coverage: Fraction = 0.9
    reject_fraction: Fraction | None = None
    sensitive_features: ColumnNames = Field(default_factory=list)

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns to predict."""
        return (self.target,) if isinstance(self.target, str) else tuple(self.target)


class SourceFiles(SettingsSection):
    """A ready-made split.

    Attributes:
        train: file of the training rows.
        validation: file of the rows to tune and judge on; some of the training rows if left out.
        test: file of the rows that are sealed; some of the training rows if left out.
    """

    train: TablePath
    validation: TablePath | None = None
    test: TablePath | None = None


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


class JoinSettings(SettingsSection):
    """A further table whose columns are put beside the rows, one row of it for each key.

    Attributes:
        source: the table, relative to the project folder.
        on: columns that both tables have, by which rows find each other.
        columns: columns to take; all others if left out.
    """

    source: TablePath
    on: ColumnName | Annotated[ColumnNames, Field(min_length=1)]
    columns: ColumnNames = Field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        """The columns by which rows find each other."""
        return [self.on] if isinstance(self.on, str) else list(self.on)


class DataSettings(SettingsSection):
    """Where the rows are and how to read them.

    Attributes:
        source: the table, or the files of a ready-made split; relative to the project folder.
        column_names: column names, for files without a header.
        na_values: words that stand for a missing value, beside an empty cell.
        columns: what each column holds.
        join: further tables whose columns are put beside the rows.
        derived_columns: columns computed from others, as SQL expressions such as ``total / months``.
        filter: rows to use, as an SQL condition such as ``age >= 18``.
        drop: columns that no model may use.
        time_column: column that orders the rows in time.
        group: column whose rows belong together (one patient, one machine).
        sample_weight: column that says how much a row counts.
        id_column: column that names rows, for reports and predictions.
        split_column: column that says which part a row is for: train, validation or test.
    """

    source: TablePath | SourceFiles
    column_names: ColumnNames = Field(default_factory=list)
    na_values: list[TextValue] = Field(default_factory=list)
    columns: dict[str, ColumnSettings] = Field(
        description="columns with what they hold, such as {age: {kind: number}}"
    )
    join: list[JoinSettings] = Field(default_factory=list)
    derived_columns: dict[str, SqlExpression] = Field(
        default_factory=dict, description="columns with expressions, such as {rate: total / months}"
    )
    filter: SqlExpression | None = None
    drop: list[ColumnName] = Field(default_factory=list)
    time_column: ColumnName | None = None
    group: ColumnName | None = None
    sample_weight: ColumnName | None = None
    id_column: ColumnName | None = None
    split_column: ColumnName | None = None

    def source_files(self) -> SourceFiles:
        """The files, whichever way they were given."""
        return SourceFiles(train=self.source) if isinstance(self.source, str) else self.source


class ColumnCleaning(SettingsSection):
    """How a column is cleaned; what is left out is the encoder's own default.

    Attributes:
        impute: what fills gaps: mean, median, mode, model (told from the other numbers) or a
            constant: a number, for categories also a word.
        scale: how numbers are scaled for networks and linear models.
        clip: lowest and highest value, or ``auto`` for eight interquartile ranges around the
            middle half of the training rows.
        missing: ``drop`` leaves out training rows without a value here.
    """

    impute: Impute | FiniteNumber | Annotated[str, Field(min_length=1)] | None = None
    scale: Scaling | None = None
    clip: (
        Annotated[list[FiniteNumber], Field(min_length=2, max_length=2)] | Literal["auto"] | None
    ) = None
    missing: Literal["keep", "drop"] = "keep"

    @model_validator(mode="after")
    def check_clip_order(self) -> ColumnCleaning:
        """The lowest value comes first."""
        if isinstance(self.clip, list) and self.clip[0] >= self.clip[1]:
            raise ValueError(
                f"clip goes from {self.clip[0]:g} to {self.clip[1]:g}; "
                "name the lowest value first, then the highest"
            )
        return self

    def encoder_options(self) -> dict[str, Any]:
        """What a column's encoder is told."""
        options = self.model_dump(mode="json", exclude_none=True)
        del options["missing"]
        return options


class CleanSettings(SettingsSection):
    """How the rows are cleaned before they are used.

    Attributes:
        all: how every column is cleaned.
        columns: how single columns are, which goes first.
        conflicting_rows: what happens to rows with the same cells and different targets.
    """

    all: ColumnCleaning = ColumnCleaning()
    columns: dict[str, ColumnCleaning] = Field(
        default_factory=dict,
        description="columns with how they are cleaned, such as {age: {clip: auto}}",
    )
    conflicting_rows: Literal["keep", "drop"] = "keep"


class AuditSettings(SettingsSection):
    """What is accepted although it looks wrong.

    Attributes:
        accept: findings, by name, that are not to hold the run.
    """

    accept: list[str] = Field(default_factory=list)


class SplitSettings(SettingsSection):
    """How rows are divided.

    Attributes:
        strategy: stratified, by entity or by time.
        validation: share of the rows for early stopping, calibration and thresholds.
        evaluation: share of the rows on which models are judged and compared.
        test: share of the rows that is sealed.
        gap: time before each later part of which no row is used, such as 7d or 12h; a number
            if time is one (rule time).
        near_duplicates: whether rows whose texts or photos are nearly the same stay together.
        seed: changes which rows go where.
    """

    strategy: Literal["stratified", "entity", "time"] = "stratified"
    validation: Fraction = 0.075
    evaluation: Fraction = 0.075
    test: FiniteNumber = Field(default=0.15, ge=0, lt=1)
    gap: Duration | Annotated[FiniteNumber, Field(ge=0)] | None = None
    near_duplicates: Literal["together", "apart"] = "together"
    seed: NonNegativeWhole = 0

    @model_validator(mode="after")
    def check_training_fraction(self) -> SplitSettings:
        """Something must be left to train on."""
        if self.validation + self.evaluation + self.test > 0.9:
            raise ValueError(
                f"tune, judge and test take {self.validation + self.evaluation + self.test:.0%} of the rows; "
                "set them so that at least 10 % are left for training"
            )
        return self


class ModelSettings(BaseModel):
    """The model to train: a learner, that learner's own settings, and how columns are encoded.

    Under the name of a kind of column stand options for all columns of that kind, such as
    ``text: {encoder: minilm}``; those under a column itself go first.

    Attributes:
        learner: its name.
        ensemble: whether the trained models are also tried together.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    learner: str = "network"
    ensemble: bool = True

    def learner_options(self) -> dict[str, Any]:
        """The learner's settings as they stand in the file."""
        kinds = catalog.list_plugins("kinds")
        return {
            name: value for name, value in (self.model_extra or {}).items() if name not in kinds
        }

    def kind_options(self) -> dict[str, Any]:
        """Options for all columns of a kind, by its name."""
        learner_settings = self.learner_options()
        return {
            name: value
            for name, value in (self.model_extra or {}).items()
            if name not in learner_settings
        }


class TrainSettings(SettingsSection):
    """How training runs.

    Attributes:
        seed: of everything random in training.
        time_budget: time that training may take, for all members of the model together: seconds, or
            such as 5m.
        device: where to train; a graphics card if there is one, unless said otherwise.
    """

    seed: NonNegativeWhole = 0
    time_budget: DurationSeconds | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


class ServeSettings(SettingsSection):
    """How the model is served.

    Attributes:
        route: a further path for predictions, such as /predict_sentiment.
        invalid_status: status of the answer to rows that do not fit the model.
        extra_columns: what happens to columns that the model does not know.
        redact_errors: whether errors keep names of columns and values to themselves.
        max_rows: that one request may hold.
        allow_file_paths: whether photos may be named by path or address; otherwise requests carry them.
        log_fraction: share of the requests that the prediction log records.
        log_exclude: columns that the prediction log leaves out.
    """

    route: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_.~-]+)+$", description="a path")] | None = (
        None
    )
    invalid_status: Literal[400, 422] = 422
    extra_columns: Literal["ignore", "refuse"] = "ignore"
    redact_errors: bool = False
    max_rows: Annotated[int, Field(strict=True, gt=0)] = 10_000
    allow_file_paths: bool = False
    log_fraction: Annotated[FiniteNumber, Field(ge=0, le=1)] = 1.0
    log_exclude: ColumnNames = Field(default_factory=list)


SEASON_SECONDS = {"day": 86_400.0, "week": 604_800.0}  # in seconds


class MonitorSettings(SettingsSection):
    """How the model is watched at work, and who is told.

    Attributes:
        window_rows: of a window.
        window: length of a window instead, such as 1h; for the prediction log.
        seasonality: whether windows of a length of time are compared with those of the same time of
            the day or of the week before them.
        min_rows: rows that a window must have; one of fewer is not judged.
        tolerance: Jensen-Shannon distance, from 0 to 1, that is no drift.
        min_effect_size: least distance worth an alert in columns that matter most.
        false_alarms_per_month: false ones that are expected a month at most.
        metrics_url: address of the server, whose latency and errors are told.
        alert_file: that each alert is added to, as a line of JSON.
        alert_command: words of a command that gets each alert on its standard input.
        alert_webhook: address that each alert is posted to.
    """

    window_rows: Annotated[int, Field(strict=True, gt=0)] = 500
    window: DurationSeconds | None = None
    seasonality: Literal["day", "week"] | None = None
    min_rows: Annotated[int, Field(strict=True, gt=0)] = 50
    tolerance: Annotated[FiniteNumber, Field(ge=0, lt=1)] = 0.02
    min_effect_size: Annotated[FiniteNumber, Field(ge=0, lt=1)] = 0.04
    false_alarms_per_month: Annotated[FiniteNumber, Field(gt=0)] = 0.35
    metrics_url: str | None = None
    alert_file: str | None = None
    alert_command: list[str] = Field(default_factory=list)
    alert_webhook: Annotated[str, Field(pattern=r"^https?://", description="an address")] | None = (
        None
    )

    @model_validator(mode="after")
    def check_windows_per_season(self) -> MonitorSettings:
        """A day or a week is so many windows."""
        if self.seasonality is None:
            return self
        windows_per_season = SEASON_SECONDS[self.seasonality] / self.window if self.window else 0.0
        if windows_per_season < 2 or windows_per_season != round(windows_per_season):
            window_text = f"{self.window:g} s" if self.window else "left out"
            raise ValueError(
                f"a season of a {self.seasonality} is cut into windows of a length of time, and `every` "
                f"is {window_text}; set it to a part of a {self.seasonality}, such as 1h"
            )
        return self


class RetrainSettings(SettingsSection):
    """How a challenger is trained, and what it must not be worse in.

    Attributes:
        policy: what it learns from: all rows (append), the newest (window), or all with older
            ones counted less (weight).
        window_rows: training rows of the policy window; as many as before if left out.
        decay: of older training rows, for the policy weight, each time anew.
        min_new_rows: new labelled rows, below which nothing is trained.
        max_latency_ratio: times as long as the champion that it may take for a row.
        max_size_ratio: times as large as the champion that it may be.
    """

    policy: Literal["append", "window", "weight"] = "append"
    window_rows: Annotated[int, Field(strict=True, gt=0)] | None = None
    decay: Annotated[FiniteNumber, Field(gt=0, le=1)] = 0.5
    min_new_rows: Annotated[int, Field(strict=True, gt=0)] = 50
    max_latency_ratio: Annotated[FiniteNumber, Field(gt=0)] = 2.0
    max_size_ratio: Annotated[FiniteNumber, Field(gt=0)] = 2.0


class DeploySettings(SettingsSection):
    """What the model must live within at work, how it is served, watched and trained again.

    Attributes:
        max_latency_ms: milliseconds that one row may take.
        max_size_mb: megabytes that the bundle may have.
        max_memory_mb: megabytes that the process that predicts may take.
        serve: how it is served.
        monitor: how it is watched.
        retrain: how a challenger is trained and judged.
    """

    max_latency_ms: Annotated[FiniteNumber, Field(gt=0)] | None = None
    max_size_mb: Annotated[FiniteNumber, Field(gt=0)] | None = None
    max_memory_mb: Annotated[FiniteNumber, Field(gt=0)] | None = None
    serve: ServeSettings = ServeSettings()
    monitor: MonitorSettings = MonitorSettings()
    retrain: RetrainSettings = RetrainSettings()


class CardSettings(SettingsSection):
    """What only the owner can say for the model card and its checklist.

    Attributes:
        owner: who answers for the model.
        intended_use: for which decisions it may be used.
        out_of_scope_use: for what it must not be used.
        affected_groups: who is touched by its decisions, and how.
        legal_basis: by what right the data may be used for it.
        human_oversight: who can object to a decision, and to whom.
        monitoring: who watches the model at work, and what makes them stop it.
    """

    owner: str = ""
    intended_use: str = ""
    out_of_scope_use: str = ""
    affected_groups: str = ""
    legal_basis: str = ""
    human_oversight: str = ""
    monitoring: str = ""


class ProjectSettings(SettingsSection):
    """A whole project file."""

    problem: ProblemSettings
    data: DataSettings
    clean: CleanSettings = CleanSettings()
    audit: AuditSettings = AuditSettings()
    split: SplitSettings = SplitSettings()
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    deploy: DeploySettings = DeploySettings()
    card: CardSettings = CardSettings()

    def digest(self, sections: tuple[str, ...]) -> str:
        """Digest of what some sections say.

        ``data.missing`` names one entry of a section, ``model.options`` what the learner is told,
        ``model.kinds`` how columns are encoded.
        """
        document, section_values = self.model_dump(mode="json"), dict[str, Any]()
        model_section = {name: document["model"][name] for name in ModelSettings.model_fields}
        document["model"] = {
            **model_section,
            "options": self.model.learner_options(),
            "kinds": self.model.kind_options(),
        }
        for path in sections:
            value: Any = document
            for name in path.split("."):
                value = value[name]
            section_values[path] = value
        return of_json(section_values)
