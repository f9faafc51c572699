"""The results as Markdown: each table, win rates, training times, and two well-known benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, geometric_mean, stdev

from contest.compare import ResultLine, Results, group_results, pair_lines, score_pairs, time_ratio
from contest.score import GREATER_IS_BETTER, main_metric
from contest.tables import TABLES, BenchmarkTable

OUR_METHODS = ("ours:network", "ours:ensemble")
TITLES = {
    "roc_auc": "ROC AUC", "log_loss": "log loss", "rmse": "RMSE", "mae": "MAE",
    "accuracy": "accuracy",
}  # fmt: skip

RULES = (
    "Metrics of test rows, as means over seeds with their standard error, the best first. Peers "
    "train on the training rows and use the validation rows for early stopping; fieldcraft gets "
    "both as one table, and its seconds are those of the model alone, over all folds."
)


def render_report(lines: Sequence[ResultLine]) -> str:
    """Render the whole report."""
    if not lines:
        return "No results yet: python bench/tabular.py run"
    results = group_results(lines)
    tables = [table for table in TABLES if table.name in results]
    parts = [describe_conditions(lines)]
    parts += [render_table(table, results[table.name]) for table in tables]
    parts += [
        render_win_rates(results, tables),
        render_time_ratios(results, tables),
        render_catboost_time_ratios(results, tables),
    ]
    parts += [render_california(results), render_adult(results), render_failures(lines)]
    return "\n\n".join(part for part in parts if part)


def format_line(line: ResultLine) -> str:
    """Format one result as a line for the terminal."""
    where = f"{line['table']}, seed {line['seed']}, {line['method']}"
    if "error" in line:
        return f"{where}: failed, {line['error']}"
    figures = ", ".join(f"{TITLES[name]} {value:.5g}" for name, value in line["metrics"].items())
    return f"{where}: {figures}, {line['seconds']:.1f} s"


def describe_conditions(lines: Sequence[ResultLine]) -> str:
    """Describe the dates, machines and package versions of the results."""
    dates = sorted({line["date"][:10] for line in lines})
    machines = sorted({f"{line['machine']}, {line['threads']} threads" for line in lines})
    versions = {
        f"{name} {version}" for line in lines for name, version in line.get("versions", {}).items()
    }
    span = " to ".join(dict.fromkeys((dates[0], dates[-1])))
    versions_text = ", ".join(sorted(versions, key=str.lower))
    return f"{span}; {'; '.join(machines)}; {versions_text}.\n\n{RULES}"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Render a Markdown table whose first column is text."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def mean_metric(lines: Mapping[int, ResultLine], metric: str) -> float:
    """Return the mean of a metric over seeds."""
    return fmean(line["metrics"][metric] for line in lines.values())


def render_table(table: BenchmarkTable, methods: Mapping[str, Mapping[int, ResultLine]]) -> str:
    """Render the results of every method on one table, the best first."""
    first_line = next(iter(next(iter(methods.values())).values()))
    metric, names = main_metric(table.task), list(first_line["metrics"])
    best_first = sorted(
        methods, key=lambda m: mean_metric(methods[m], metric), reverse=metric in GREATER_IS_BETTER
    )
    rows = [
        [
            method,
            *(format_mean_and_error(methods[method].values(), name) for name in names),
            f"{fmean(line['seconds'] for line in methods[method].values()):.1f}",
            ", ".join(map(str, sorted(methods[method]))),
        ]
        for method in best_first
    ]
    sizes = first_line["rows"]
    head = ["method", *(TITLES[name] for name in names), "seconds", "seeds"]
    test = "test rows as published" if table.test else "test rows drawn"
    return (
        f"### {table.name}: {table.target} ({table.task})\n\n"
        f"{sizes['train']:,} training, {sizes['val']:,} validation, {sizes['test']:,} {test}.\n\n"
        + markdown_table(head, rows)
    )


def format_mean_and_error(lines: Iterable[ResultLine], metric: str) -> str:
    """Format the mean over seeds with its standard error."""
    values = [line["metrics"][metric] for line in lines]
    if len(values) == 1:
        return f"{values[0]:.5g}"
    return f"{fmean(values):.5g} ± {stdev(values) / len(values) ** 0.5:.2g}"


def list_peers(results: Results) -> list[str]:
    """Return the methods of other libraries."""
    names = {method for methods in results.values() for method in methods}
    return sorted(name for name in names if not name.startswith("ours:"))


def compare_with_peers(title: str, results: Results, cell: Callable[[str, str], str]) -> str:
    """Render a table with a row for each model of fieldcraft and a column for each peer."""
    peers = list_peers(results)
    rows = [[our_method, *(cell(our_method, peer) for peer in peers)] for our_method in OUR_METHODS]
    return f"### {title}\n\n" + markdown_table(["", *peers], rows)


def render_win_rates(results: Results, tables: Sequence[BenchmarkTable]) -> str:
    """Render the win rates over tables; a tie counts as half a win."""

    def cell(our_method: str, peer: str) -> str:
        points = [
            score_pairs(pairs, main_metric(table.task), table.test is not None)
            for table in tables
            if (pairs := pair_lines(results[table.name], our_method, peer))
        ]
        if not points:
            return ""
        won, tied, lost = (sum(point == x for point in points) for x in (1.0, 0.5, 0.0))
        return f"{fmean(points):.0%} ({won} won, {tied} tied, {lost} lost)"

    return compare_with_peers("Win rate", results, cell)


def render_time_ratios(results: Results, tables: Sequence[BenchmarkTable]) -> str:
    """Render the ratios of training times, as geometric means over tables."""

    def cell(our_method: str, peer: str) -> str:
        ratios = [
            time_ratio(pairs)
            for table in tables
            if (pairs := pair_lines(results[table.name], our_method, peer))
        ]
        return f"{geometric_mean(ratios):.2f}" if ratios else ""

    return compare_with_peers("Training time as a multiple of the peer's", results, cell)


def render_catboost_time_ratios(results: Results, tables: Sequence[BenchmarkTable]) -> str:
    """Render the training time as a multiple of CatBoost's, by table."""
    rows = []
    for table in tables:
        pairs = [
            pair_lines(results[table.name], our_method, "catboost") for our_method in OUR_METHODS
        ]
        if any(pairs):
            rows.append([table.name, *(f"{time_ratio(p):.2f}" if p else "" for p in pairs)])
    title = "### Training time as a multiple of CatBoost's\n\n"
    return title + markdown_table(["table", *OUR_METHODS], rows) if rows else ""


def render_california(results: Results) -> str:
    """Render California housing in the unit of the literature."""
    methods = results.get("california", {})
    rows = [
        [
            method,
            f"{mean_metric(lines, 'rmse') / 1e5:.4f}",
            ", ".join(f"{lines[s]['metrics']['rmse'] / 1e5:.4f}" for s in sorted(lines)),
        ]
        for method, lines in methods.items()
    ]
    title = "### California housing: RMSE in 100,000 $, random 64/16/20\n\n"
    return title + markdown_table(["method", "mean", "seeds"], rows) if rows else ""


def render_adult(results: Results) -> str:
    """Render Adult on its published test file."""
    methods = results.get("adult", {})
    rows = [
        [method, *(f"{mean_metric(lines, name):.4f}" for name in ("accuracy", "roc_auc"))]
        for method, lines in methods.items()
    ]
    title = "### Adult: published test file\n\n"
    return title + markdown_table(["method", "accuracy", "ROC AUC"], rows) if rows else ""


def render_failures(lines: Sequence[ResultLine]) -> str:
    """Render the failed rounds that were not repeated successfully."""
    succeeded = {
        (line["table"], line["seed"], line["run"]) for line in lines if "error" not in line
    }
    failed = [
        f"- {format_line(line)}"
        for line in lines
        if "error" in line and (line["table"], line["seed"], line["run"]) not in succeeded
    ]
    return "### Failed\n\n" + "\n".join(failed) if failed else ""
