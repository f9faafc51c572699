"""The report of a project: one HTML file for offline use, light and dark mode, and print."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from markupsafe import Markup

from fieldcraft.core import catalog, files
from fieldcraft.core.formatting import format_number, join_names
from fieldcraft.core.types import Json
from fieldcraft.learners.rule.description import describe_rule
from fieldcraft.report import charts
from fieldcraft.report.example_rows import build_label_issues, build_largest_errors
from fieldcraft.report.render import render_template
from fieldcraft.report.report_data import (
    ReportData,
    describe_test_set,
    format_fixes,
    suggest_next_steps,
    summarize_run,
)

MAX_METRICS_SHOWN = 5  # in the comparison of models; the champion's section has all of them
MAX_CLASSES_SHOWN = 30  # a larger confusion matrix does not fit on a page
MIN_CONFUSION_ROWS = 2  # a single row may just have a wrong label
MAX_CONFUSIONS_SHOWN = 8
MAX_COLUMNS_NAMED = 8
FILES_VERDICT_TEXTS = {
    "better": "the columns with files improve the model",
    "tie": "the columns with files make no significant difference",
    "worse": "the columns with files hurt",
}
MAX_IMPORTANCE_COLUMNS = 20
DEFAULT_THRESHOLD = 0.5
ROLE_TITLES = {
    "group": "group",
    "sample_weight": "sample weight",
    "id_column": "id",
    "split_column": "split",
}
# The size of predicted sets and intervals; a task has at most one of these metrics.
WIDTH_METRICS = ("mean_set_size", "mean_interval_width", "mean_undecided_labels")


def write_report(path: Path, report_data: ReportData) -> None:
    """Write the report of a project, atomically."""
    files.atomic_write_text(path, render_report(report_data))


def render_report(report_data: ReportData) -> str:
    """The report as HTML text."""
    evaluation = report_data.evaluation
    return render_template(
        "report.html.j2",
        report=report_data,
        headline=summarize_run(report_data),
        test_set_status=describe_test_set(report_data),
        next_steps=suggest_next_steps(report_data),
        findings=report_data.open_findings(),
        format_fixes=format_fixes,
        main_metric=get_champion_metric(report_data),
        columns=describe_columns(report_data),
        shown_metrics=select_metrics(report_data),
        charts=draw_charts(report_data),
        confusion_matrix=summarize_confusion_matrix(evaluation.get("diagnostics", {})),
        class_metrics=select_class_metrics(evaluation.get("diagnostics", {})),
        coverage=describe_coverage(report_data),
        decision_rule=describe_decision_rule(report_data),
        rejection=describe_rejection(report_data),
        baseline_rule=describe_baseline_rule(report_data),
        ensemble=describe_ensemble(report_data),
        kind_importance=summarize_kind_importance(report_data),
        files_verdict=describe_files_comparison(report_data),
        largest_errors=build_largest_errors(report_data),
        label_issues=build_label_issues(report_data),
    )


def get_champion_metric(report_data: ReportData) -> Json:
    """The main metric of the champion; empty before the evaluation."""
    if not report_data.evaluation:
        return {}
    metric_record: Json = report_data.champion["metrics"][report_data.evaluation["metric"]]
    return metric_record


def select_metrics(report_data: ReportData) -> list[Json]:
    """The metrics to show in the comparison of models: the main one and a few more."""
    if not report_data.evaluation:
        return []
    main_metric, metrics = report_data.evaluation["metric"], report_data.champion["metrics"]
    names = [main_metric, *(name for name in metrics if name != main_metric)][:MAX_METRICS_SHOWN]
    return [{"name": name, "title": metrics[name]["title"]} for name in names]


def describe_columns(report_data: ReportData) -> list[Json]:
    """Each column with its role and profile, in table order."""
    settings = report_data.settings
    data = settings.data
    descriptions = []
    role_by_column = {
        name: title for role, title in ROLE_TITLES.items() if (name := getattr(data, role))
    }
    role_by_column |= dict.fromkeys(data.drop, "dropped") | dict.fromkeys(
        settings.problem.targets, "target"
    )
    for name, profile in report_data.profile.get("columns", {}).items():
        column = data.columns.get(name)
        role = role_by_column.get(name) or (column.kind if column else "-")
        descriptions.append({"name": name, "role": role, **profile})
    return descriptions


def draw_charts(report_data: ReportData) -> dict[str, Markup]:
    """The charts by name, as far as there are records for them."""
    svgs: dict[str, str] = {}
    if report_data.split:
        svgs["parts"] = charts.plot_parts(report_data.split["counts"])
    if report_data.learning_curves:
        svgs["learning_curves"] = charts.plot_learning_curves(report_data.learning_curves)
    if report_data.evaluation:
        svgs |= draw_evaluation_charts(report_data)
    if report_data.importance:
        title = get_champion_metric(report_data)["title"]
        svgs["importance"] = charts.plot_importance(
            report_data.importance[:MAX_IMPORTANCE_COLUMNS], title
        )
    return {name: Markup(svg) for name, svg in svgs.items()}


def draw_evaluation_charts(report_data: ReportData) -> dict[str, str]:
    """The charts of the models' metrics and of the champion's predictions, by name."""
    evaluation, svgs = report_data.evaluation, dict[str, str]()
    svgs["models"] = charts.plot_models(
        evaluation["models"], evaluation["metric"], evaluation["champion"]
    )
    diagnostics = evaluation["diagnostics"]
    if "reliability" in diagnostics:
        svgs["reliability"] = charts.plot_reliability(diagnostics["reliability"])
    if "roc_curve" in diagnostics:
        svgs["roc_curve"] = charts.plot_roc_curve(diagnostics["roc_curve"])
    if diagnostics.get("threshold_curve"):
        threshold = evaluation["calibration"].get("threshold") or DEFAULT_THRESHOLD
        svgs["threshold_curve"] = charts.plot_thresholds(diagnostics["threshold_curve"], threshold)
    if "scatter" in diagnostics:
        svgs["scatter"] = charts.plot_scatter(
            diagnostics["scatter"], str(report_data.settings.problem.target)
        )
    return svgs


def summarize_kind_importance(report_data: ReportData) -> list[Json]:
    """The importance of each kind of column, with a verdict based on its interval."""
    return [
        {**item, "verdict": describe_contribution(item)} for item in report_data.kind_importance
    ]


def describe_files_comparison(report_data: ReportData) -> str:
    """Whether columns with files, such as photos, improve the model; empty if not compared."""
    comparison = report_data.evaluation.get("files_comparison") if report_data.evaluation else None
    if not comparison or comparison["low"] is None:
        return ""
    title = get_champion_metric(report_data)["title"]
    columns = join_names(comparison["excluded_columns"][:MAX_COLUMNS_NAMED])
    difference, low, high = (
        format_number(comparison[key]) for key in ("difference", "low", "high")
    )
    return (
        f"The best model with {columns} is the {comparison['with_files']}, the best without is the "
        f"{comparison['without_files']}. The first is better in {title} by {difference} "
        f"({low} to {high}): {FILES_VERDICT_TEXTS[comparison['verdict']]}."
    )


def describe_contribution(item: Json) -> str:
    """A verdict on the importance of a kind of column.

    >>> describe_contribution({"low": -0.01, "high": 0.03})
    'no significant contribution'
    >>> describe_contribution({"low": 0.02, "high": 0.05})
    'contributes'
    """
    if item["low"] is None:
        return "not measurable"
    if item["low"] > 0:
        return "contributes"
    return "no significant contribution" if item["high"] >= 0 else "hurts"


def describe_ensemble(report_data: ReportData) -> str:
    """The models of the ensemble with their weights; empty if there is none."""
    models = report_data.evaluation.get("models", [])
    titles = {model["name"]: model["title"] for model in models}
    weights: Json = next(
        (model["ensemble_weights"] for model in models if "ensemble_weights" in model), {}
    )
    return join_names([f"{weight:.0%} {titles[name]}" for name, weight in weights.items()])


def describe_baseline_rule(report_data: ReportData) -> str:
    """The one-rule baseline of the first fold, in units of the target; empty if there is none."""
    model = report_data.folders["baseline"] / "rule" if "baseline" in report_data.folders else None
    if model is None or not (model / "0").is_dir():
        return ""
    first_fold = model / "0"
    rule = files.read_json(first_fold / "model.json")
    # Learners are fitted on the scaled target, so outputs are converted back to its units.
    scale = files.read_json(first_fold / "scale.json")
    task = catalog.load_plugin("tasks", report_data.settings.problem.task)
    bins = [
        {
            **rule_bin,
            "outputs": task.unscale_outputs(np.array([rule_bin["outputs"]]), scale)[0].tolist(),
        }
        for rule_bin in rule["bins"]
    ]
    levels = load_categories(first_fold, rule["column"])
    return describe_rule({**rule, "bins": bins}, report_data.split["target_spec"], levels)


def load_categories(fold_model_folder: Path, column: str) -> list[str]:
    """The categories that the encoder of a column knows; empty for columns of other kinds."""
    state = files.read_json(fold_model_folder / "encoders.json")
    category_columns = [
        column_entry["name"]
        for column_entry in state["schema"]["columns"]
        if column_entry["kind"] == "category"
    ]
    if column not in category_columns:
        return []
    categories = state["encoders"]["category"]["categories"][category_columns.index(column)]
    # The encoder marks missing values by a category with a NUL character.
    return ["(missing)" if "\0" in category else str(category) for category in categories]


def describe_coverage(report_data: ReportData) -> str:
    """Target and observed coverage of predicted sets or intervals, in a sentence."""
    if not report_data.evaluation:
        return ""
    metrics = report_data.champion["metrics"]
    observed = metrics["coverage"]
    text = (
        f"Target coverage {report_data.settings.problem.coverage:.0%}, "
        f"observed {observed['value']:.1%} on the evaluation rows "
        f"({observed['low']:.1%} to {observed['high']:.1%})"
    )
    width_metric = next((metrics[name] for name in WIDTH_METRICS if name in metrics), None)
    if width_metric is None:
        return f"{text}."
    return f"{text}; {width_metric['title']} {format_number(width_metric['value'])}."


def describe_decision_rule(report_data: ReportData) -> str:
    """The rule that turns probabilities into a class, in a sentence."""
    problem = report_data.settings.problem
    if problem.costs:
        return "Decision rule: least expected cost (problem.costs)."
    threshold = report_data.evaluation.get("calibration", {}).get("threshold")
    if threshold is None:
        return "Decision rule: most probable class."
    reason = (
        f"chosen for the best {problem.threshold} on the validation rows"
        if isinstance(problem.threshold, str)
        else "as set by problem.threshold"
    )
    probability = format_number(threshold)
    return f"Decision rule: positive from a probability of {probability}, {reason}."


def describe_rejection(report_data: ReportData) -> str:
    """The accuracy without the least confident rows, in a sentence; empty if not measured."""
    curve = report_data.evaluation.get("diagnostics", {}).get("rejection")
    if not curve:
        return ""
    accuracy_by_fraction = {item["reject_fraction"]: f"{item['accuracy']:.1%}" for item in curve}
    reject_fraction = report_data.settings.problem.reject_fraction
    note = (
        f"confident is false for rows below the limit that rejects {reject_fraction:.0%} of the "
        "validation rows."
        if reject_fraction
        else "set problem.reject_fraction to mark them."
    )
    return (
        f"Accuracy {accuracy_by_fraction[0.0]}; {accuracy_by_fraction[0.05]} without the 5 % least "
        f"confident rows, {accuracy_by_fraction[0.2]} without the 20 % least confident; {note}"
    )


def summarize_confusion_matrix(diagnostics: Json) -> Json:
    """The confusion matrix with fractions by row; for many classes, only the top confusions."""
    if "confusion_matrix" not in diagnostics:
        return {}
    counts, classes = diagnostics["confusion_matrix"], diagnostics["classes"]
    confusions = [
        {"actual": classes[i], "predicted": classes[j], "rows": n}
        for i, row in enumerate(counts)
        for j, n in enumerate(row)
        if i != j and n >= MIN_CONFUSION_ROWS
    ]
    confusions.sort(key=lambda item: -item["rows"])
    return {
        "classes": classes,
        "counts": counts if len(classes) <= MAX_CLASSES_SHOWN else [],
        "row_fractions": [[n / max(sum(row), 1) for n in row] for row in counts],
        "confusions": confusions[:MAX_CONFUSIONS_SHOWN],
    }


def select_class_metrics(diagnostics: Json) -> list[Json]:
    """The metrics of each class or label; if there are many, those with the lowest recall."""
    class_metrics: list[Json] = diagnostics.get("per_class", [])
    if len(class_metrics) <= MAX_CLASSES_SHOWN:
        return class_metrics
    defined = [item for item in class_metrics if item["recall"] is not None]
    return sorted(defined, key=lambda item: item["recall"])[:MAX_CLASSES_SHOWN]
