"""Mistakes in names that a project file uses: of plugs, of their options, and of columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError

from fieldcraft.core import catalogue
from fieldcraft.core.errors import near
from fieldcraft.project.forms import Path, named, told
from fieldcraft.project.settings import Impute, Model, as_text

Mistake = tuple[Path, str]  # where it is, and what is wrong
READ = "is computed; only a column that is read can stand here"
KINDLESS = "is computed; give it a kind under data.columns, then it can be cleaned"


def names_unknown(values: Mapping[str, Any]) -> Iterator[Mistake]:
    """Mistakes in names of plugs: task, metric, learner and its options, kinds of columns."""
    yield from task_unknown(part(values, "problem"))
    if isinstance(values.get("model"), dict):
        yield from model_unknown(values["model"])
    for name, column in part(part(values, "data"), "columns").items():
        if isinstance(column, dict) and isinstance(column.get("kind"), str):
            yield from kind_unknown(name, column)


def task_unknown(problem: Mapping[str, Any]) -> Iterator[Mistake]:
    """A task or metric that does not exist, or a task that wants another number of targets."""
    name, metric, known = problem.get("task"), problem.get("metric"), catalogue.names("tasks")
    if not isinstance(name, str):
        return  # the settings' own rules say so
    if name not in known:
        yield ("problem", "task"), f"problem.task: no task {name!r}; {near(name, known)}"
        return
    task = catalogue.load("tasks", name)
    metrics = [item.name for item in task.metrics]
    if isinstance(metric, str) and metric not in metrics:
        told = f"problem.metric: no metric {metric!r} for {name}; {near(metric, metrics)}"
        yield ("problem", "metric"), told
    target = problem.get("target")
    if problem.get("reject") is not None and task.output != "probabilities":
        yield ("problem", "reject"), f"problem.reject needs classes, and {name} has none"
    if task.output == "labels" and isinstance(target, str):
        yield (
            ("problem", "target"),
            f"problem.target: {name} wants a list of columns, one for each label",
        )
    if task.output != "labels" and isinstance(target, list):
        yield ("problem", "target"), f"problem.target: {name} wants one column, not a list"


def kind_unknown(name: str, column: Mapping[str, Any]) -> Iterator[Mistake]:
    """A kind that does not exist, or options that it does not have."""
    kind, known = column["kind"], catalogue.names("kinds")
    path = ("data", "columns", name)
    if kind not in known:
        yield (*path, "kind"), f"{named(path)}.kind: no kind {kind!r}; {near(kind, known)}"
        return
    yield from options_unknown(path, column, ["kind", *catalogue.load("kinds", kind).options])


def options_unknown(
    path: Path, given: Mapping[str, Any], known: Sequence[str]
) -> Iterator[Mistake]:
    """Options that are not there to be given."""
    for option in given:
        if option not in known:
            hint = near(option, known)
            yield (*path, option), f"{named(path)}.{option} is not known here; {hint}"


def model_unknown(model: Mapping[str, Any]) -> Iterator[Mistake]:
    """A learner that does not exist, or settings that it does not have."""
    name = model.get("learner") or Model().learner
    known = catalogue.names("learners")
    if not isinstance(name, str):
        return  # the settings' own rules say so
    if name not in known:
        yield ("model", "learner"), f"model.learner: no learner {name!r}; {near(name, known)}"
        return
    options = catalogue.load("learners", name).options
    kinds = catalogue.names("kinds")
    for kind in kinds:
        if model.get(kind) is not None and not isinstance(model[kind], dict):
            yield ("model", kind), f"model.{kind} should be options such as {{encoder: ngrams}}"
        asked = catalogue.load("kinds", kind).options
        yield from options_unknown(("model", kind), part(model, kind), asked)
    own = {key: v for key, v in model.items() if key not in (*Model.model_fields, *kinds)}
    for key in own:
        if key not in options.model_fields:
            hint = near(key, [*options.model_fields, *Model.model_fields])
            yield ("model", key), f"model.{key} is not a setting of {name}; {hint}"
    given = {k: v for k, v in own.items() if k in options.model_fields and v is not None}
    try:
        options.model_validate(given)
    except ValidationError as error:
        yield from told(error, options.model_json_schema(), ("model",))


def columns_unknown(values: Mapping[str, Any]) -> Iterator[Mistake]:
    """Names of columns that do not stand under ``data.columns``."""
    data = part(values, "data")
    columns, derived = part(data, "columns"), part(data, "derive")
    for path, value, computed in columns_named(values) if columns else ():
        name, place = as_text(value), named(path[:2])
        if not isinstance(name, str) or name in columns:
            continue
        if name not in derived:
            yield path, f"{place}: no column {name!r}; {near(name, [*columns, *derived])}"
        elif computed:
            yield path, f"{place}: {name!r} {computed}"


def rules_unmet(values: Mapping[str, Any]) -> Iterator[Mistake]:
    """Entries of ``split`` that want others which are not there."""
    data, split = part(values, "data"), part(values, "split")
    rule = split.get("rule")
    if rule in ("time", "entity") and data.get(rule) is None:
        yield ("split", "rule"), f"split.rule is {rule}, but data.{rule} names no column"
    if split.get("gap") is not None and rule != "time":
        yield ("split", "gap"), "split.gap needs the rule time; without it rows have no order"


def fills_unfit(values: Mapping[str, Any]) -> Iterator[Mistake]:
    """Words to fill gaps with where no column of words is meant: ways to impute, misspelt."""
    clean, columns = part(values, "clean"), part(part(values, "data"), "columns")
    own = part(clean, "columns")
    others = [name for name in own if part(columns, name).get("kind") != "category"]
    entries: dict[Path, Mapping[str, Any]] = {("columns", name): part(own, name) for name in others}
    for place, entry in {("all",): part(clean, "all"), **entries}.items():
        word = entry.get("impute")
        if isinstance(word, str) and word not in get_args(Impute):
            path = ("clean", *place, "impute")
            hint = near(word, get_args(Impute))
            yield path, f"{named(path)}: {word!r} fills categories only; {hint}"


def columns_named(values: Mapping[str, Any]) -> Iterator[tuple[Path, Any, str]]:
    """Every place in the file that names a column, what stands there, and why none computed may."""
    problem, data = part(values, "problem"), part(values, "data")
    for place in ("entity", "weight", "id", "split"):
        yield ("data", place), data.get(place), READ
    yield ("data", "time"), data.get("time"), ""
    for section, name, value, computed in (
        ("problem", "target", problem.get("target"), READ),
        ("problem", "groups", problem.get("groups"), ""),
        ("data", "drop", data.get("drop"), ""),
    ):
        if isinstance(value, list):
            yield from (((section, name, i), column, computed) for i, column in enumerate(value))
        else:
            yield (section, name), value, computed
    for name in part(part(values, "clean"), "columns"):
        yield ("clean", "columns", name), name, KINDLESS


def part(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of the file by its name; empty if it is not there or not made of names."""
    found = values.get(name)
    return found if isinstance(found, dict) else {}
