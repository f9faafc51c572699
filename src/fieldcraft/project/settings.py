"""The settings of a project file, section by section.

The docstrings of the sections are shown to users: `project_file.build_editor_schema` takes the
description of each entry from them.
"""

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

from fieldcraft.core import catalog, digest
from fieldcraft.core.formatting import parse_duration

ItemT = TypeVar("ItemT")


class SettingsSection(BaseModel):
    """A section of the project file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def as_text(value: Any) -> Any:
    """Convert numbers, dates and booleans to text, written as they are in a table."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value) if isinstance(value, (int, float)) else value


def as_seconds(value: Any) -> Any:
    """Convert a duration such as ``5m`` to seconds; other values are unchanged."""
    duration_seconds = parse_duration(value) if isinstance(value, str) else None
    return value if duration_seconds is None else duration_seconds


def require_unique(values: list[ItemT]) -> list[ItemT]:
    """Check that no value of a list occurs twice.

    Raises:
        ValueError: one does.
    """
    duplicate = next((value for i, value in enumerate(values) if value in values[:i]), None)
    if duplicate is not None:
        raise ValueError(f"{duplicate} is listed twice")
    return values


# The descriptions below are shown in error messages: "must be the name of a column".
# YAML 1.2 reads an unquoted `true` or `1` as a boolean or a number, even if a text is meant.
YAML_TEXT_TYPES = ["string", "number", "boolean"]
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
PositiveWhole = Annotated[int, Field(strict=True, ge=1)]
ColumnNames = Annotated[list[ColumnName], AfterValidator(require_unique)]

ThresholdRule = Literal["accuracy", "balanced_accuracy", "f1", "mcc"]
Impute = Literal["mean", "median", "mode", "model"]
Scaling = Literal["quantile", "standard", "robust", "minmax", "none"]


class ProblemSettings(SettingsSection):
    """What to predict, and which metric is good enough.

    Attributes:
        description: the problem in words.
        target: column to predict; a list of columns where one row may have many labels.
        task: the prediction task, such as binary or regression.
        metric: metric by which models are compared; the default of the task if left out.
        goal: value that the metric must reach.
        positive_class: the positive class of a binary task.
        class_order: the classes from lowest to highest, for an ordinal task.
        costs: cost of each kind of error, as ``{actual class: {predicted class: cost}}``.
        threshold: probability from which a row is predicted positive, or the metric for which it
            is chosen on the validation rows: accuracy, balanced_accuracy, f1 or mcc.
        coverage: fraction of rows whose actual value lies in the predicted set or interval.
        reject_fraction: fraction of the rows that may be rejected because the model is least
            confident about them; rows unlike every class are then rejected too.
        sensitive_features: columns by whose groups metrics are computed, to compare groups.
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
        default_factory=dict, description="costs of errors, such as {yes: {no: 5}}"
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
    """The files of a predefined split.

    Attributes:
        train: file of the training rows.
        validation: file of the validation and evaluation rows, half of it for each; taken from
            the training rows if left out.
        test: file of the sealed test rows; taken from the training rows if left out.
    """

    train: TablePath
    validation: TablePath | None = None
    test: TablePath | None = None


class ColumnSettings(BaseModel):
    """The kind of a column and the options of that kind.

    Attributes:
        kind: kind of the cells, such as number or category.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str

    def options(self) -> dict[str, Any]:
        """Return the options that are set."""
        return dict(self.model_extra or {})


class JoinSettings(SettingsSection):
    """A table that is left-joined to the rows; it has one row for each key.

    Attributes:
        source: the table, relative to the project folder.
        on: key columns, which both tables have.
        columns: columns to take; all others if left out.
    """

    source: TablePath
    on: ColumnName | Annotated[ColumnNames, Field(min_length=1)]
    columns: ColumnNames = Field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        """The key columns."""
        return [self.on] if isinstance(self.on, str) else list(self.on)


class DataSettings(SettingsSection):
    """Where the rows are and how to read them.

    Attributes:
        source: the table, or the files of a predefined split; relative to the project folder.
        column_names: column names, for files without a header.
        na_values: texts that mark a missing value, in addition to empty cells.
        columns: the kind and the options of each column.
        join: tables that are joined to the rows.
        derived_columns: columns computed from others by SQL expressions such as
            ``total / months``.
        filter: rows to use, as an SQL condition such as ``age >= 18``.
        drop: columns that no model may use.
        time_column: column that orders the rows in time.
        group: column of the group of a row, such as a patient or a machine.
        sample_weight: column of the weight of a row.
        id_column: column that identifies rows in reports and predictions.
        split_column: column of the part of a row: train, validation or test.
    """

    source: TablePath | SourceFiles
    column_names: ColumnNames = Field(default_factory=list)
    na_values: list[TextValue] = Field(default_factory=list)
    columns: dict[str, ColumnSettings] = Field(
        description="columns with their kinds, such as {age: {kind: number}}"
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
        """Return the files of the source; a single table is the training file."""
        return SourceFiles(train=self.source) if isinstance(self.source, str) else self.source


class ColumnCleaning(SettingsSection):
    """How a column is cleaned; the encoder's defaults apply to entries that are left out.

    Attributes:
        impute: replacement of missing values: mean, median, mode, model (predicted from the other
            numbers) or a constant, which is a number or, for categories, a text.
        scale: how numbers are scaled for networks and linear models.
        clip: lowest and highest value, or ``auto`` for eight interquartile ranges beyond the
            quartiles of the training rows.
        missing: ``drop`` excludes training rows in which the value is missing.
    """

    impute: Impute | FiniteNumber | Annotated[str, Field(min_length=1)] | None = None
    scale: Scaling | None = None
    clip: (
        Annotated[list[FiniteNumber], Field(min_length=2, max_length=2)] | Literal["auto"] | None
    ) = None
    missing: Literal["keep", "drop"] = "keep"

    @model_validator(mode="after")
    def check_clip_order(self) -> ColumnCleaning:
        """Require the lower value first."""
        if isinstance(self.clip, list) and self.clip[0] >= self.clip[1]:
            raise ValueError(
                f"clip goes from {self.clip[0]:g} to {self.clip[1]:g}; "
                "give the lowest value first, then the highest"
            )
        return self

    def encoder_options(self) -> dict[str, Any]:
        """Return the options for the encoder of the column."""
        options = self.model_dump(mode="json", exclude_none=True)
        del options["missing"]  # applied to rows by `modeling.dataset`, not by an encoder
        return options


class CleanSettings(SettingsSection):
    """How the rows are cleaned before they are used.

    Attributes:
        all: cleaning of every column.
        columns: cleaning of single columns; overrides ``all``.
        conflicting_rows: whether rows with equal features and different targets are kept.
    """

    all: ColumnCleaning = ColumnCleaning()
    columns: dict[str, ColumnCleaning] = Field(
        default_factory=dict,
        description="columns with their cleaning, such as {age: {clip: auto}}",
    )
    conflicting_rows: Literal["keep", "drop"] = "keep"


class AuditSettings(SettingsSection):
    """Findings of the audit that are accepted.

    Attributes:
        accept: names of the findings that do not block a run.
    """

    accept: list[str] = Field(default_factory=list)


class SplitSettings(SettingsSection):
    """How rows are assigned to train, validation, evaluation and test.

    Attributes:
        strategy: stratified, or by group or time.
        validation: fraction of the rows for early stopping, calibration, thresholds and ensemble
            weights.
        evaluation: fraction of the rows for comparing models and for the metrics reported.
        test: fraction of the rows that is sealed.
        gap: period before each later part whose rows are not used, such as 7d or 12h; a number if
            the time column holds numbers (strategy time).
        near_duplicates: whether rows with nearly equal texts or photos go to the same part.
        seed: random seed of the assignment.
    """

    strategy: Literal["stratified", "group", "time"] = "stratified"
    validation: Fraction = 0.075
    evaluation: Fraction = 0.075
    test: FiniteNumber = Field(default=0.15, ge=0, lt=1)
    gap: Duration | Annotated[FiniteNumber, Field(ge=0)] | None = None
    near_duplicates: Literal["group", "ignore"] = "group"
    seed: NonNegativeWhole = 0

    @model_validator(mode="after")
    def check_training_fraction(self) -> SplitSettings:
        """Require that at least a tenth of the rows is left for training."""
        held_out_fraction = self.validation + self.evaluation + self.test
        if held_out_fraction > 0.9:
            raise ValueError(
                f"validation, evaluation and test take {held_out_fraction:.0%} of the rows; "
                "set them so that at least 10 % are left for training"
            )
        return self


class ModelSettings(BaseModel):
    """The model to train: a learner, its options, and options of the encoders.

    The name of a kind holds options for all columns of that kind, such as
    ``text: {encoder: minilm}``; options under a column override them.

    Attributes:
        learner: name of the learner.
        ensemble: whether an ensemble of the trained models is tried too.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    learner: str = "network"
    ensemble: bool = True

    def learner_options(self) -> dict[str, Any]:
        """Return the options of the learner, as given in the file."""
        # Extra keys are options of the learner, except the names of kinds.
        kinds = catalog.list_plugins("kinds")
        return {
            name: value for name, value in (self.model_extra or {}).items() if name not in kinds
        }

    def kind_options(self) -> dict[str, Any]:
        """Return the options of the encoders, by kind."""
        learner_options = self.learner_options()
        return {
            name: value
            for name, value in (self.model_extra or {}).items()
            if name not in learner_options
        }


class TrainSettings(SettingsSection):
    """How training runs.

    Attributes:
        seed: random seed of training.
        time_budget: time limit for training all fold models together: seconds, or a duration such
            as 5m.
        device: device to train on; auto takes a GPU if there is one.
        workers: processes that fit folds and baselines at the same time, if memory allows; with 1
            they are fitted one after the other in the process of the run.
        threads: CPU threads of a fit; by default the number that is fastest, or with several
            workers each one's share of the processors.
    """

    seed: NonNegativeWhole = 0
    time_budget: DurationSeconds | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    workers: PositiveWhole = 1
    threads: PositiveWhole | None = None


class ServeSettings(SettingsSection):
    """How the model is served.

    Attributes:
        route: additional path for predictions, such as /predict_sentiment.
        invalid_status: HTTP status of the answer to invalid rows.
        extra_columns: whether columns that the model does not know are ignored or forbidden.
        redact_errors: whether errors omit column names and values.
        max_rows: largest number of rows in a request.
        allow_file_paths: whether requests may refer to photos by path or URL; otherwise they must
            contain them.
        log_fraction: fraction of the requests that the prediction log records.
        log_exclude: columns that the prediction log omits.
    """

    route: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_.~-]+)+$", description="a path")] | None = (
        None
    )
    invalid_status: Literal[400, 422] = 422
    extra_columns: Literal["ignore", "forbid"] = "ignore"
    redact_errors: bool = False
    max_rows: Annotated[int, Field(strict=True, gt=0)] = 10_000
    allow_file_paths: bool = False
    log_fraction: Annotated[FiniteNumber, Field(ge=0, le=1)] = 1.0
    log_exclude: ColumnNames = Field(default_factory=list)


SEASON_SECONDS = {"day": 86_400.0, "week": 604_800.0}


class MonitorSettings(SettingsSection):
    """How the model is monitored in production, and where alerts go.

    Attributes:
        window_rows: number of rows in a window.
        window: duration of a window instead, such as 1h; for the prediction log.
        seasonality: whether windows are compared with earlier windows of the same time of the day
            or of the week.
        min_rows: smallest number of rows in a window; windows with fewer rows are skipped.
        tolerance: Jensen-Shannon distance, from 0 to 1, that does not count as drift.
        min_effect_size: smallest distance that raises an alert in the most important columns.
        false_alarms_per_month: largest expected number of false alarms in a month.
        metrics_url: URL of the server whose latency and errors are reported.
        alert_file: file to which each alert is appended as a line of JSON.
        alert_command: command, as a list of words, that gets each alert on standard input.
        alert_webhook: URL to which each alert is posted.
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
    alert_webhook: (
        Annotated[str, Field(pattern=r"^https?://", description="an http or https URL")] | None
    ) = None

    @model_validator(mode="after")
    def check_windows_per_season(self) -> MonitorSettings:
        """Require that a season is a whole number of windows."""
        if self.seasonality is None:
            return self
        # Each window is compared with the windows of the same time in earlier seasons, so windows
        # must start at the same times in each day or week.
        windows_per_season = SEASON_SECONDS[self.seasonality] / self.window if self.window else 0.0
        if windows_per_season < 2 or windows_per_season != round(windows_per_season):
            window_text = f"{self.window:g} s" if self.window else "not set"
            raise ValueError(
                f"the seasonality {self.seasonality} needs a window that divides it, "
                f"but `window` is {window_text}; set it to a duration such as 1h"
            )
        return self


class RetrainSettings(SettingsSection):
    """How a challenger is trained, and the limits that it must meet.

    Attributes:
        policy: training rows: all (append), the newest (window), or all with smaller weights for
            older ones (decay).
        window_rows: number of training rows of the policy window; unchanged if left out.
        decay: factor by which each retraining multiplies the weights of older rows, for the policy
            decay.
        min_new_rows: smallest number of new labeled rows that starts a retraining.
        max_latency_ratio: largest ratio of the latency of the challenger to that of the champion.
        max_size_ratio: largest ratio of the size of the challenger to that of the champion.
    """

    policy: Literal["append", "window", "decay"] = "append"
    window_rows: Annotated[int, Field(strict=True, gt=0)] | None = None
    decay: Annotated[FiniteNumber, Field(gt=0, le=1)] = 0.5
    min_new_rows: Annotated[int, Field(strict=True, gt=0)] = 50
    max_latency_ratio: Annotated[FiniteNumber, Field(gt=0)] = 2.0
    max_size_ratio: Annotated[FiniteNumber, Field(gt=0)] = 2.0


class DeploySettings(SettingsSection):
    """Limits of the deployed model, and how it is served, monitored and retrained.

    Attributes:
        max_latency_ms: largest latency for one row, in milliseconds.
        max_size_mb: largest size of the bundle, in megabytes.
        max_memory_mb: largest memory of the predicting process, in megabytes.
        serve: how the model is served.
        monitor: how the model is monitored.
        retrain: how a challenger is trained and evaluated.
    """

    max_latency_ms: Annotated[FiniteNumber, Field(gt=0)] | None = None
    max_size_mb: Annotated[FiniteNumber, Field(gt=0)] | None = None
    max_memory_mb: Annotated[FiniteNumber, Field(gt=0)] | None = None
    serve: ServeSettings = ServeSettings()
    monitor: MonitorSettings = MonitorSettings()
    retrain: RetrainSettings = RetrainSettings()


class CardSettings(SettingsSection):
    """Entries of the model card and its checklist that only the owner can provide.

    Attributes:
        owner: who is responsible for the model.
        intended_use: decisions for which the model may be used.
        out_of_scope_use: uses that are excluded.
        affected_groups: people affected by its decisions, and how.
        legal_basis: legal basis for using the data.
        human_oversight: who can appeal a decision, and to whom.
        monitoring: who monitors the model in production, and when they stop it.
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
        """Return the digest of some sections.

        ``data.na_values`` names one entry of a section, ``model.options`` the options of the
        learner, ``model.kinds`` those of the encoders.
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
        return digest.of_json(section_values)
