"""Check the names in a project file: of plug-ins, of their options, and of columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError

from fieldcraft.core import catalog
from fieldcraft.core.errors import did_you_mean
from fieldcraft.project.schema_messages import SettingsPath, explain_validation_error, format_path
from fieldcraft.project.settings import Impute, ModelSettings, as_text

ValidationIssue = tuple[SettingsPath, str]  # its path and a message
DERIVED_COLUMN_MESSAGE = "is a derived column; only a column of the table is allowed here"
# The entry of ``data`` that a split strategy needs.
COLUMN_OF_STRATEGY = {"group": "group", "time": "time_column"}
DERIVED_WITHOUT_KIND_MESSAGE = "is a derived column; to clean it, give it a kind under data.columns"


def check_plugin_names(values: Mapping[str, Any]) -> Iterator[ValidationIssue]:
    """Check the task, the metric, the learner with its options, and the kinds of columns."""
    yield from check_task(get_section(values, "problem"))
    if isinstance(values.get("model"), dict):
        yield from check_model(values["model"])
    for name, column in get_section(get_section(values, "data"), "columns").items():
        if isinstance(column, dict) and isinstance(column.get("kind"), str):
            yield from check_kind(name, column)


def check_task(problem: Mapping[str, Any]) -> Iterator[ValidationIssue]:
    """Check that task and metric exist, and that the number of targets fits the task."""
    name, metric, task_names = (
        problem.get("task"),
        problem.get("metric"),
        catalog.list_plugins("tasks"),
    )
    if not isinstance(name, str):
        return  # the pydantic model reports it
    if name not in task_names:
        yield (
            ("problem", "task"),
            f"problem.task: no task {name!r}; {did_you_mean(name, task_names)}",
        )
        return
    task = catalog.load_plugin("tasks", name)
    metrics = [item.name for item in task.metrics]
    if isinstance(metric, str) and metric not in metrics:
        message = (
            f"problem.metric: no metric {metric!r} for {name}; {did_you_mean(metric, metrics)}"
        )
        yield ("problem", "metric"), message
    target = problem.get("target")
    if problem.get("reject_fraction") is not None and task.output != "probabilities":
        message = f"problem.reject_fraction needs classes, and {name} has none"
        yield ("problem", "reject_fraction"), message
    if task.output == "labels" and isinstance(target, str):
        yield (
            ("problem", "target"),
            f"problem.target: {name} needs a list of columns, one for each label",
        )
    if task.output != "labels" and isinstance(target, list):
        yield ("problem", "target"), f"problem.target: {name} needs one column, not a list"


def check_kind(name: str, column: Mapping[str, Any]) -> Iterator[ValidationIssue]:
    """Check that the kind of a column exists and has the options that are set."""
    kind, kind_names = column["kind"], catalog.list_plugins("kinds")
    path = ("data", "columns", name)
    if kind not in kind_names:
        yield (
            (*path, "kind"),
            f"{format_path(path)}.kind: no kind {kind!r}; {did_you_mean(kind, kind_names)}",
        )
        return
    yield from check_options(path, column, ["kind", *catalog.load_plugin("kinds", kind).options])


def check_options(
    path: SettingsPath, options: Mapping[str, Any], known_options: Sequence[str]
) -> Iterator[ValidationIssue]:
    """Report unknown options."""
    for option in options:
        if option not in known_options:
            hint = did_you_mean(option, known_options)
            yield (*path, option), f"{format_path(path)}.{option} is not known here; {hint}"


def check_model(model: Mapping[str, Any]) -> Iterator[ValidationIssue]:
    """Check that the learner exists and that its options are valid."""
    name = model.get("learner") or ModelSettings().learner
    learner_names = catalog.list_plugins("learners")
    if not isinstance(name, str):
        return  # the pydantic model reports it
    if name not in learner_names:
        yield (
            ("model", "learner"),
            f"model.learner: no learner {name!r}; {did_you_mean(name, learner_names)}",
        )
        return
    options = catalog.load_plugin("learners", name).options
    kinds = catalog.list_plugins("kinds")
    for kind in kinds:
        if model.get(kind) is not None and not isinstance(model[kind], dict):
            yield ("model", kind), f"model.{kind} must be options such as {{encoder: ngrams}}"
        kind_options = catalog.load_plugin("kinds", kind).options
        yield from check_options(("model", kind), get_section(model, kind), kind_options)
    learner_settings = {
        key: value
        for key, value in model.items()
        if key not in (*ModelSettings.model_fields, *kinds)
    }
    for key in learner_settings:
        if key not in options.model_fields:
            hint = did_you_mean(key, [*options.model_fields, *ModelSettings.model_fields])
            yield ("model", key), f"model.{key} is not a setting of {name}; {hint}"
    known_settings = {
        k: value
        for k, value in learner_settings.items()
        if k in options.model_fields and value is not None
    }
    try:
        options.model_validate(known_settings)
    except ValidationError as error:
        yield from explain_validation_error(error, options.model_json_schema(), ("model",))


def check_column_references(values: Mapping[str, Any]) -> Iterator[ValidationIssue]:
    """Report references to columns that are not under ``data.columns``."""
    data = get_section(values, "data")
    columns, derived = get_section(data, "columns"), get_section(data, "derived_columns")
    for path, value, derived_message in iter_column_references(values) if columns else ():
        name, location = as_text(value), format_path(path[:2])
        if not isinstance(name, str) or name in columns:
            continue
        if name not in derived:
            yield (
                path,
                f"{location}: no column {name!r}; {did_you_mean(name, [*columns, *derived])}",
            )
        elif derived_message:
            yield path, f"{location}: {name!r} {derived_message}"


def check_split_strategy(values: Mapping[str, Any]) -> Iterator[ValidationIssue]:
    """Check that ``split.strategy`` and ``split.gap`` have the entries that they need."""
    data, split = get_section(values, "data"), get_section(values, "split")
    strategy = split.get("strategy")
    entry = COLUMN_OF_STRATEGY.get(strategy) if isinstance(strategy, str) else None
    if entry is not None and data.get(entry) is None:
        message = f"split.strategy is {strategy}, but data.{entry} is not set"
        yield ("split", "strategy"), message
    if split.get("gap") is not None and strategy != "time":
        yield ("split", "gap"), "split.gap needs the strategy time; otherwise rows have no order"


def check_impute_values(values: Mapping[str, Any]) -> Iterator[ValidationIssue]:
    """Report texts under ``impute`` for columns other than categories: misspelled methods."""
    clean, columns = (
        get_section(values, "clean"),
        get_section(get_section(values, "data"), "columns"),
    )
    column_cleaning = get_section(clean, "columns")
    other_columns = [
        name for name in column_cleaning if get_section(columns, name).get("kind") != "category"
    ]
    entries: dict[SettingsPath, Mapping[str, Any]] = {
        ("columns", name): get_section(column_cleaning, name) for name in other_columns
    }
    for section_path, entry in {("all",): get_section(clean, "all"), **entries}.items():
        value = entry.get("impute")
        if isinstance(value, str) and value not in get_args(Impute):
            path = ("clean", *section_path, "impute")
            hint = did_you_mean(value, get_args(Impute))
            yield path, f"{format_path(path)}: {value!r} fills categories only; {hint}"


def iter_column_references(values: Mapping[str, Any]) -> Iterator[tuple[SettingsPath, Any, str]]:
    """Yield each reference to a column: its path, its value, and why it cannot be derived.

    The reason is empty where a derived column is allowed.
    """
    problem, data = get_section(values, "problem"), get_section(values, "data")
    for role in ("group", "sample_weight", "id_column", "split_column"):
        yield ("data", role), data.get(role), DERIVED_COLUMN_MESSAGE
    yield ("data", "time_column"), data.get("time_column"), ""
    for section, name, value, derived_message in (
        ("problem", "target", problem.get("target"), DERIVED_COLUMN_MESSAGE),
        ("problem", "sensitive_features", problem.get("sensitive_features"), ""),
        ("data", "drop", data.get("drop"), ""),
    ):
        if isinstance(value, list):
            yield from (
                ((section, name, i), column, derived_message) for i, column in enumerate(value)
            )
        else:
            yield (section, name), value, derived_message
    for name in get_section(get_section(values, "clean"), "columns"):
        yield ("clean", "columns", name), name, DERIVED_WITHOUT_KIND_MESSAGE


def get_section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a section of the file; empty if it is missing or not a mapping."""
    section = values.get(name)
    return section if isinstance(section, dict) else {}
