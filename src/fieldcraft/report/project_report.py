"""The report: one HTML file that works offline, in light and dark, and on paper."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from fieldcraft.core import files
from fieldcraft.core.formatting import format_number, join_names
from fieldcraft.core.types import Json
from fieldcraft.report import charts
from fieldcraft.report.example_rows import build_largest_errors
from fieldcraft.report.label_issues import build_label_issues
from fieldcraft.report.render import render_template
from fieldcraft.report.report_data import (
    ReportData,
    describe_test_set,
    format_fixes,
    suggest_next_steps,
    summarize_run,
)
from fieldcraft.report.rule import describe_fitted_rule

MAX_METRICS_SHOWN = 5  # of each learner in the comparison; the champion has them all
MAX_CLASSES_SHOWN = 30  # shown in a confusion table, and one by one
MIN_CONFUSION_ROWS = 2  # rows of one class taken for another that are worth a word
MAX_COLUMNS_NAMED = 8  # columns in a sentence
FILES_VERDICT_TEXTS = {
    "better": "reading them is worth its trouble",
    "level": "nothing shows that reading them is worth its trouble",
    "worse": "reading them does harm",
}
MAX_IMPORTANCE_COLUMNS = 20  # in the chart of importance
DEFAULT_THRESHOLD = 0.5  # the threshold where none is set
WIDTH_METRICS = ("set_size", "width", "open_labels")  # how narrow predicted sets and intervals are


def write_report(path: Path, report_data: ReportData) -> None:
    """Write the report of a project, whole or not at all."""
    files.atomic_write_text(path, render_report(report_data))


def render_report(report_data: ReportData) -> str:
    """The report as HTML text."""
    evaluation = report_data.evaluation
    return render_template(
        "report.html.j2",
        story=report_data,
        headline=summarize_run(report_data),
        seal=describe_test_set(report_data),
        steps=suggest_next_steps(report_data),
        findings=report_data.open_findings(),
        fixes_of=format_fixes,
        main=get_champion_metric(report_data),
        columns=describe_columns(report_data),
        shown=select_metrics(report_data),
        pictures=draw_charts(report_data),
        confusion=summarize_confusion_matrix(evaluation.get("evidence", {})),
        classes=select_class_metrics(evaluation.get("evidence", {})),
        intervals=describe_coverage(report_data),
        decision=describe_decision_rule(report_data),
        rejection=describe_rejection(report_data),
        rule=describe_baseline_rule(report_data),
        blend=describe_ensemble(report_data),
        kinds=summarize_kind_importance(report_data),
        files_verdict=describe_files_comparison(report_data),
        worst=build_largest_errors(report_data),
        doubtful=build_label_issues(report_data),
    )


def get_champion_metric(report_data: ReportData) -> Json:
    """The champion's figure by the declared metric, or nothing."""
    if not report_data.evaluation:
        return {}
    metric_record: Json = report_data.champion["measures"][report_data.evaluation["metric"]]
    return metric_record


def select_metrics(report_data: ReportData) -> list[Json]:
    """The measures that stand side by side for all learners: the declared one and a few more."""
    if not report_data.evaluation:
        return []
    main_metric, metrics = report_data.evaluation["metric"], report_data.champion["measures"]
    names = [main_metric, *(name for name in metrics if name != main_metric)][:MAX_METRICS_SHOWN]
    return [{"name": name, "title": metrics[name]["title"]} for name in names]


def describe_columns(report_data: ReportData) -> list[Json]:
    """What is known of each column, in table order."""
    settings = report_data.settings
    data, descriptions = settings.data, []
    roles = ("entity", "weight", "id", "split")
    role_by_column = {name: role for role in roles if (name := getattr(data, role))}
    role_by_column |= dict.fromkeys(data.drop, "dropped") | dict.fromkeys(
        settings.problem.targets, "target"
    )
    for name, profile in report_data.profile.get("columns", {}).items():
        column = data.columns.get(name)
        role = role_by_column.get(name) or (column.kind if column else "-")
        descriptions.append({"name": name, "role": role, **profile})
    return descriptions


def draw_charts(report_data: ReportData) -> dict[str, Markup]:
    """The charts that the records allow, by name."""
    svgs: dict[str, str] = {}
    if report_data.split:
        svgs["parts"] = charts.plot_parts(report_data.split["counts"])
    if report_data.learning_curves:
        svgs["curves"] = charts.plot_learning_curves(report_data.learning_curves)
    if report_data.evaluation:
        evaluation = report_data.evaluation
        svgs["learners"] = charts.plot_models(
            evaluation["learners"], evaluation["metric"], evaluation["champion"]
        )
        diagnostics = evaluation["evidence"]
        if "reliability" in diagnostics:
            svgs["reliability"] = charts.plot_reliability(diagnostics["reliability"])
        if "roc" in diagnostics:
            svgs["roc"] = charts.plot_roc_curve(diagnostics["roc"])
        if diagnostics.get("thresholds"):
            threshold = evaluation["calibration"].get("threshold") or DEFAULT_THRESHOLD
            svgs["thresholds"] = charts.plot_thresholds(diagnostics["thresholds"], threshold)
        if "scatter" in diagnostics:
            svgs["scatter"] = charts.plot_scatter(
                diagnostics["scatter"], str(report_data.settings.problem.target)
            )
    if report_data.importance:
        title = report_data.champion["measures"][report_data.evaluation["metric"]]["title"]
        svgs["importance"] = charts.plot_importance(
            report_data.importance[:MAX_IMPORTANCE_COLUMNS], title
        )
    return {name: Markup(svg) for name, svg in svgs.items()}


def summarize_kind_importance(report_data: ReportData) -> list[Json]:
    """What each kind of column contributes, with a verdict that minds the interval."""
    return [
        {**item, "verdict": describe_contribution(item)} for item in report_data.kind_importance
    ]


def describe_files_comparison(report_data: ReportData) -> str:
    """Whether columns that name files, such as photos, are worth their trouble."""
    comparison = report_data.evaluation.get("without_files") if report_data.evaluation else None
    if not comparison or comparison["low"] is None:
        return ""
    title = report_data.champion["measures"][report_data.evaluation["metric"]]["title"]
    column_text = join_names(comparison["left_out"][:MAX_COLUMNS_NAMED])
    difference_text = f"{format_number(comparison['difference'])} ({format_number(comparison['low'])} to {format_number(comparison['high'])})"
    return (
        f"The best model that reads {column_text} is the {comparison['with']}, the best that does not is the "
        f"{comparison['without']}. The first is better in {title} by {difference_text}: {FILES_VERDICT_TEXTS[comparison['verdict']]}."
    )


def describe_contribution(item: Json) -> str:
    """What may be said of a kind of column.

    >>> verdict({"low": -0.01, "high": 0.03}), verdict({"low": 0.02, "high": 0.05})
    ('adds nothing that is surely there', 'adds something')
    """
    if item["low"] is None:
        return "cannot be told"
    if item["low"] > 0:
        return "adds something"
    return "adds nothing that is surely there" if item["high"] >= 0 else "harms"


def describe_ensemble(report_data: ReportData) -> str:
    """What the blend is made of, if there is one."""
    models = report_data.evaluation.get("learners", [])
    titles = {model["name"]: model["title"] for model in models}
    weights: Json = next((model["parts"] for model in models if "parts" in model), {})
    return join_names([f"{weight:.0%} {titles[name]}" for name, weight in weights.items()])


def describe_baseline_rule(report_data: ReportData) -> str:
    """What the one-rule baseline says, if there is one."""
    model = report_data.folders["baseline"] / "rule" if "baseline" in report_data.folders else None
    if model is None or not (model / "0").is_dir():
        return ""
    return describe_fitted_rule(
        model, report_data.settings.problem.task, report_data.split["target"]
    )


def describe_coverage(report_data: ReportData) -> str:
    """How well the predicted sets or intervals hold what they promise, in a sentence."""
    if not report_data.evaluation:
        return ""
    metrics, target_coverage = (
        report_data.champion["measures"],
        report_data.settings.problem.coverage,
    )
    observed = metrics["coverage"]
    text = (
        f"Asked to hold the truth for {target_coverage:.0%} of the rows, they hold it for "
        f"{observed['value']:.1%} of the judge rows ({observed['low']:.1%} to {observed['high']:.1%})"
    )
    width_metric = next((metrics[name] for name in WIDTH_METRICS if name in metrics), None)
    return text + (
        f"; {width_metric['title']}: {format_number(width_metric['value'])} on average."
        if width_metric
        else "."
    )


def describe_decision_rule(report_data: ReportData) -> str:
    """By what rule rows are decided, in a sentence."""
    problem = report_data.settings.problem
    if problem.costs:
        return "Rows are decided so that mistakes cost the least, by problem.costs."
    threshold = report_data.evaluation.get("calibration", {}).get("threshold")
    if threshold is None:
        return "Rows are decided for the likeliest class."
    reason = f"where {problem.threshold} is best on tune rows" if problem.threshold else "as asked"
    return (
        f"Rows are decided positive from a probability of {format_number(threshold)} on, {reason}."
    )


def describe_rejection(report_data: ReportData) -> str:
    """How often decisions are right without the least sure ones, in a sentence."""
    curve = report_data.evaluation.get("evidence", {}).get("rejection")
    if not curve:
        return ""
    accuracy_by_fraction = {item["rejected"]: f"{item['right']:.1%}" for item in curve}
    reject_fraction = report_data.settings.problem.reject_fraction
    note = (
        f"accepted: false marks those below the limit that {reject_fraction:.0%} of tune rows fall below."
        if reject_fraction
        else "problem.reject would mark them."
    )
    return (
        f"{accuracy_by_fraction[0.0]} of all decisions are right, {accuracy_by_fraction[0.05]} without the least sure twentieth, "
        f"{accuracy_by_fraction[0.2]} without the least sure fifth; {note}"
    )


def summarize_confusion_matrix(diagnostics: Json) -> Json:
    """The confusion table with the share of each row, or the commonest mix-ups if it is large."""
    if "confusion" not in diagnostics:
        return {}
    table, classes = diagnostics["confusion"], diagnostics["classes"]
    confusions = [
        {"true": classes[i], "decided": classes[j], "rows": n}
        for i, row in enumerate(table)
        for j, n in enumerate(row)
        if i != j and n >= MIN_CONFUSION_ROWS
    ]
    confusions.sort(key=lambda item: -item["rows"])
    row_fractions = [[n / max(sum(row), 1) for n in row] for row in table]
    is_small = len(classes) <= MAX_CLASSES_SHOWN
    return {
        "classes": classes,
        "table": table if is_small else [],
        "shares": row_fractions,
        "mixed": confusions[:8],
    }


def select_class_metrics(diagnostics: Json) -> list[Json]:
    """Figures of each class or label; of very many, those that are found least."""
    class_metrics: list[Json] = diagnostics.get("per_class", [])
    if len(class_metrics) <= MAX_CLASSES_SHOWN:
        return class_metrics
    defined = [item for item in class_metrics if item["recall"] is not None]
    return sorted(defined, key=lambda item: item["recall"])[:MAX_CLASSES_SHOWN]
