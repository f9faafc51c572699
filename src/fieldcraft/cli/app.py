"""The command line: reads arguments, calls a stage, shows what came of it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from fieldcraft.project.folder import ProjectFolder

EXIT_INTERRUPTED = 130
EXIT_INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h
MAX_REASON_CHARS = 500  # characters of a reason

app = typer.Typer(
    name="fieldcraft",
    help="From raw data to a model in production that you can vouch for.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)

ProjectDirOption = Annotated[Path | None, typer.Option("--dir", help="Folder of the project.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
TargetOption = Annotated[
    str | None,
    typer.Option(help="Column to predict: its name, or its number from 1; labels a,b,c."),
]
ColumnNamesOption = Annotated[
    str | None, typer.Option(help="Column names a,b,... of a file without a header.")
]
TableArgument = Annotated[
    str,
    typer.Argument(help="The table: .csv, .tsv, .jsonl, .parquet, .zip, a folder, sqlite:///..."),
]
ValidationOption = Annotated[
    str | None, typer.Option("--val", help="Validation file of a ready-made split.")
]
TestOption = Annotated[str | None, typer.Option("--test", help="Test file of a ready-made split.")]
TaskOption = Annotated[
    str | None, typer.Option(help="What the target asks: binary, multiclass, regression.")
]


def main() -> None:
    """Run the command line; errors made on purpose end in one short block and exit code 2."""
    from fieldcraft.core.errors import FieldcraftError

    try:
        app()
    except FieldcraftError as error:
        print_error(error.what, error.detail, error.hint)
        sys.exit(2)
    except OSError as error:
        hint = (
            "free some space, or use another --dir"
            if error.errno == 28
            else ("check that the path exists and that you may read and write there")
        )
        print_error(str(error.strerror or error), str(error.filename or type(error).__name__), hint)
        sys.exit(2)
    except SystemExit as system_exit:
        if system_exit.code == EXIT_INTERRUPTED:
            print("stopped; nothing is lost: run the same command again to go on", file=sys.stderr)
        raise
    except Exception as error:  # noqa: BLE001  nobody is to be shown a traceback
        print_error(
            "something went wrong inside Fieldcraft; nothing that was done is lost",
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            f"please report it with the details in {write_traceback(error)}",
        )
        sys.exit(EXIT_INTERNAL_ERROR)


def write_traceback(error: Exception) -> str:
    """The path of a file that holds the traceback of an error."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix="fieldcraft-error-", suffix=".txt", delete=False
    ) as stream:
        stream.write("".join(traceback.format_exception(error)))
    return stream.name


def print_error(what: str, detail: str, hint: str) -> None:
    """Show an error: what is wrong, what was seen, the way out."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table as Grid
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    grid = Grid.grid(padding=(0, 1))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    grid.add_row("seen", Text(detail))
    grid.add_row("way out", Text(hint))
    console.print(Text.assemble(("error: ", "bold red"), (what, "bold")))
    console.print(Padding(grid, (0, 0, 0, 2)))


@contextmanager
def progress_callbacks(as_json: bool, planned: Sequence[Any] = ()) -> Iterator[Any]:
    """A watcher that shows a run on standard error, or nothing for machines."""
    from fieldcraft.cli.progress import ProgressDisplay
    from fieldcraft.stages._workflows import NullCallbacks

    if as_json:
        yield NullCallbacks()
    else:
        with ProgressDisplay() as terminal:
            terminal.set_plan(planned)
            yield terminal


def find_project(folder: Path | None) -> ProjectFolder:
    """The project of a folder, or of the present one."""
    from fieldcraft.project.folder import ProjectFolder

    return ProjectFolder.find(folder or Path.cwd())


def split_names(text: str | None) -> tuple[str, ...]:
    """Names that stand in one argument, cut at the commas."""
    return tuple(name.strip() for name in text.split(",")) if text else ()


@app.command()
def init(
    table: TableArgument,
    target: TargetOption = None,
    validation: ValidationOption = None,
    test: TestOption = None,
    column_names: ColumnNamesOption = None,
    task: TaskOption = None,
    project_dir: ProjectDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the project file from a look at a table."""
    from fieldcraft.cli.project_setup import default_project_folder
    from fieldcraft.core.errors import ProjectError
    from fieldcraft.stages.init import InitRequest
    from fieldcraft.stages.init import init as write

    if target is None:
        raise ProjectError(
            "no target is given", detail=f"init {table}", hint="pass --target COLUMN"
        )
    targets = split_names(target)
    target_folder = project_dir or default_project_folder(table, targets)
    result = write(
        InitRequest(
            target_folder, table, targets, validation, test, split_names(column_names), task
        )
    )
    if as_json:
        print(json.dumps(result))
    else:
        print(f"wrote {result['file']}: predict {result['target']} ({result['task']})")
        for note in result["notes"]:
            print(f"note: {note}")
        print(f"look it over, then: fieldcraft run --dir {target_folder}")


@app.command()
def run(
    table: Annotated[
        str | None, typer.Argument(help="The table; none to go on in a project.")
    ] = None,
    target: TargetOption = None,
    validation: ValidationOption = None,
    test: TestOption = None,
    column_names: ColumnNamesOption = None,
    task: TaskOption = None,
    project_dir: ProjectDirOption = None,
    until: Annotated[str | None, typer.Option(help="Last stage to run, such as audit.")] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Mend findings in the project file.")] = False,
    budget: Annotated[
        str | None, typer.Option(help="Time for training, such as 90s, 5m or 1h.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    device: Annotated[
        str | None, typer.Option(help="Where to train: auto, cpu, cuda or mps.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done, and how long it takes.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Go from table to report and bundle; what is done is kept."""
    from fieldcraft.cli import output
    from fieldcraft.cli.project_setup import RunOptions, prepare_project, preview_run
    from fieldcraft.stages._pipeline import plan_run
    from fieldcraft.stages._workflows import run_project

    run_options = RunOptions(
        table,
        split_names(target),
        validation,
        test,
        split_names(column_names),
        task,
        project_dir,
        budget,
        seed,
        device,
    )
    if dry_run:
        output.print_plan(preview_run(run_options, until), as_json)
        return
    project = prepare_project(run_options)
    with progress_callbacks(as_json, plan_run(project, until)) as callbacks:
        report_data = run_project(project, callbacks, until, fix)
    output.print_result(report_data, as_json)


@app.command()
def predict(
    bundle: Annotated[str, typer.Argument(help="A bundle; may be left out inside a project.")],
    rows: Annotated[str | None, typer.Argument(help="The rows, as a table.")] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Output, .csv, .parquet or .jsonl.")
    ] = Path("predictions.csv"),
    memory_mb: Annotated[
        float, typer.Option(min=0.001, help="Megabytes that rows may take at once.")
    ] = 256,
    max_rejected_fraction: Annotated[
        float, typer.Option(min=0, max=1, help="Share of rows that may be set aside.")
    ] = 0.01,
    project_dir: ProjectDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict the rows of a table with a bundle; started again after a stop, it goes on."""
    from fieldcraft.cli import output
    from fieldcraft.cli.progress import show_row_progress
    from fieldcraft.stages.predict import PredictRequest
    from fieldcraft.stages.predict import predict as write

    bundle_path, table = (
        (find_project(project_dir).bundle_path, bundle) if rows is None else (Path(bundle), rows)
    )
    with show_row_progress("predict", as_json) as on_rows:
        result = write(
            PredictRequest(
                bundle_path, table, out, memory_mb, max_rejected_fraction, on_rows=on_rows
            )
        )
    output.print_predictions(result, as_json)


@app.command()
def serve(
    bundles: Annotated[
        list[str] | None,
        typer.Argument(
            help="Bundles, PATH or NAME=PATH; none for that of the project.",
            envvar="FIELDCRAFT_BUNDLES",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on.", envvar="FIELDCRAFT_HOST")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            help="Port; 0 for any that is free.", envvar=["AIP_HTTP_PORT", "FIELDCRAFT_PORT"]
        ),
    ] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes of each model.")] = 1,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token of callers; or FIELDCRAFT_TOKEN.")
    ] = None,
    cert: Annotated[Path | None, typer.Option(help="Certificate, for TLS.")] = None,
    key: Annotated[Path | None, typer.Option(help="Key of the certificate.")] = None,
    log: Annotated[Path | None, typer.Option(help="Folder of the prediction log.")] = None,
    project_dir: ProjectDirOption = None,
) -> None:
    """Put bundles behind HTTP: predictions, metrics, health."""
    from fieldcraft.stages.serve import ServeRequest
    from fieldcraft.stages.serve import serve as run

    def on_started(address: Any) -> None:
        scheme = "http" if cert is None else "https"
        print(f"listening on {scheme}://{address[0]}:{address[1]} (docs at /docs)", flush=True)

    bundle_specs = bundles or [str(find_project(project_dir).bundle_path)]
    run(ServeRequest(bundle_specs, host, port, workers, token_file, cert, key, log, on_started))


@app.command()
def monitor(
    bundle: Annotated[str, typer.Argument(help="A bundle; may be left out inside a project.")],
    source: Annotated[
        str | None,
        typer.Argument(metavar="SOURCE", help="Folder of the prediction log, or a table."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for state and report.")
    ] = None,
    window_rows: Annotated[int | None, typer.Option(min=1, help="Rows of a window.")] = None,
    window: Annotated[
        str | None, typer.Option(help="Length of a window instead, such as 1h.")
    ] = None,
    seasonality: Annotated[
        str | None, typer.Option(help="Compare with the same time of the day or of the week.")
    ] = None,
    alert_file: Annotated[Path | None, typer.Option(help="File that alerts are added to.")] = None,
    alert_command: Annotated[str | None, typer.Option(help="Command that gets each alert.")] = None,
    alert_webhook: Annotated[
        str | None, typer.Option(envvar="FIELDCRAFT_WEBHOOK", help="Address to post alerts to.")
    ] = None,
    metrics_url: Annotated[
        str | None, typer.Option(help="Address of the server: tell its latency and errors too.")
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train a challenger if there are new alerts.")
    ] = False,
    project_dir: ProjectDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what is broken and what drifts at work; exit code 1 if anything."""
    from fieldcraft.cli.monitoring import print_monitoring, resolve_alert_settings
    from fieldcraft.cli.project_setup import parse_duration_option
    from fieldcraft.stages.monitor import MonitorRequest
    from fieldcraft.stages.monitor import monitor as look

    project = find_project(project_dir) if source is None else None
    bundle_path, source_path = (
        (project.bundle_path, bundle) if project else (Path(bundle), str(source))
    )
    out_folder = out or (project.root / "watch" if project else Path("watch"))
    window_seconds = None if window is None else parse_duration_option(window, "--every")
    alert_settings = resolve_alert_settings(
        project, alert_file, alert_command, alert_webhook, metrics_url
    )
    result = look(
        MonitorRequest(
            bundle_path,
            source_path,
            out_folder,
            window_rows,
            window_seconds,
            seasonality,
            alert_settings,
        )
    )
    print_monitoring(result, as_json)
    if retrain and result["new"]:
        retrain_on_alerts(find_project(project_dir), source_path, result["new"], as_json)
    if result["stand"]:
        raise typer.Exit(1)


@app.command()
def feedback(
    table: Annotated[str, typer.Argument(help="The labels: request, row, and the target.")],
    log: Annotated[str, typer.Option(help="Folder of the prediction log.")],
    bundle: Annotated[
        Path | None, typer.Option(help="The bundle; that of the project if left out.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the watch.")] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train a challenger if they have become worse.")
    ] = False,
    project_dir: ProjectDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell how good predictions were, once labels are there; exit code 1 if they are worse."""
    from fieldcraft.cli.monitoring import print_feedback, resolve_alert_settings
    from fieldcraft.stages.feedback import FeedbackRequest
    from fieldcraft.stages.feedback import feedback as join

    project = None if bundle else find_project(project_dir)
    bundle_path = bundle or find_project(project_dir).bundle_path
    out_folder = out or (project.root / "watch" if project else Path("watch"))
    result = join(
        FeedbackRequest(bundle_path, table, log, out_folder, resolve_alert_settings(project))
    )
    print_feedback(result, as_json)
    if retrain and result["new"]:
        retrain_on_alerts(
            find_project(project_dir), log, [{"text": "predictions have become worse"}], as_json
        )
    if result["alarmed"] or any(group["alarmed"] for group in result["groups"]):
        raise typer.Exit(1)


def retrain_on_alerts(
    project: ProjectFolder, log: str, new_alerts: Sequence[Any], as_json: bool
) -> None:
    """Train a challenger because of alerts; what came of it goes to standard error."""
    from fieldcraft.cli.versions import print_retraining
    from fieldcraft.stages._workflows import retrain_project

    reason = "; ".join(alert["text"] for alert in new_alerts)
    with progress_callbacks(as_json) as callbacks:
        result = retrain_project(project, callbacks, {"log": log, "why": reason[:MAX_REASON_CHARS]})
    print_retraining(result, as_json, sys.stderr)


@app.command()
def retrain(
    log: Annotated[
        str | None, typer.Option(help="Folder of the prediction log; the one that is watched.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A table of labelled rows, instead of log and labels.")
    ] = None,
    interval: Annotated[
        str | None, typer.Option(help="Do it again and again, after such a time: 1d, 12h.")
    ] = None,
    reason: Annotated[str, typer.Option(help="The reason, for the record.")] = "",
    force: Annotated[
        bool, typer.Option("--anyway", help="Also with broken columns or few new rows.")
    ] = False,
    project_dir: ProjectDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a challenger on new rows; it is promoted only if it is better (else exit code 1)."""
    from fieldcraft.cli.project_setup import parse_duration_option
    from fieldcraft.cli.versions import print_retraining
    from fieldcraft.stages._workflows import retrain_project

    project = find_project(project_dir)
    options = {"log": log, "rows": data, "why": reason, "anyway": force}

    def run_once() -> str:
        with progress_callbacks(as_json) as callbacks:
            result = retrain_project(project, callbacks, options)
        print_retraining(result, as_json)
        return str(result["outcome"])

    if interval is not None:
        repeat_forever(run_once, parse_duration_option(interval, "--every"))
    if run_once() in ("refused", "blocked"):
        raise typer.Exit(1)


def repeat_forever(action: Callable[[], object], pause_seconds: float) -> NoReturn:
    """Do something, wait, and do it again; an error is shown, and does not end it."""
    from fieldcraft.core.errors import FieldcraftError

    while True:
        try:
            action()
        except FieldcraftError as error:
            print_error(error.what, error.detail, error.hint)
        time.sleep(pause_seconds)


@app.command()
def rollback(
    to: Annotated[str | None, typer.Option(help="How the id of the version begins.")] = None,
    reason: Annotated[str, typer.Option(help="The reason, for the record.")] = "",
    list_only: Annotated[
        bool, typer.Option("--list", help="Show the versions, change none.")
    ] = False,
    project_dir: ProjectDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the bundle that was there before the current one again."""
    from fieldcraft.cli.versions import print_rollback, print_versions
    from fieldcraft.stages._workflows import list_versions, rollback_project

    project = find_project(project_dir)
    if list_only:
        print_versions(list_versions(project), as_json)
    else:
        print_rollback(rollback_project(project, to, reason), as_json)


@app.command()
def evaluate(
    final: Annotated[bool, typer.Option("--final", help="Open the sealed test set.")] = False,
    reopen: Annotated[
        str | None, typer.Option(help="Why the test set is to be opened once more.")
    ] = None,
    project_dir: ProjectDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the models; --final opens the sealed test set."""
    from fieldcraft.cli import output
    from fieldcraft.stages._workflows import run_final_evaluation, run_project

    project = find_project(project_dir)
    with progress_callbacks(as_json) as callbacks:
        if final:
            report_data = run_final_evaluation(project, callbacks, reopen)
        else:
            report_data = run_project(project, callbacks, "evaluate")
    output.print_result(report_data, as_json)


@app.command()
def audit(
    fix: Annotated[bool, typer.Option("--fix", help="Mend findings in the project file.")] = False,
    project_dir: ProjectDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for what is wrong with the data."""
    from fieldcraft.cli import output
    from fieldcraft.stages._workflows import run_project

    project = find_project(project_dir)
    with progress_callbacks(as_json) as callbacks:
        report_data = run_project(project, callbacks, "audit", fix)
    output.print_findings(report_data, as_json)


@app.command()
def package(
    zip_path: Annotated[
        Path | None, typer.Option(help="Also write the bundle as one .zip.")
    ] = None,
    container: Annotated[
        Path | None, typer.Option(help="Also write a folder that builds a serving image.")
    ] = None,
    project_dir: ProjectDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put the champion into a bundle that predicts without PyTorch."""
    from fieldcraft.bundle.archive import pack_bundle
    from fieldcraft.cli import output
    from fieldcraft.stages._container import write_container
    from fieldcraft.stages._pipeline import plan_run
    from fieldcraft.stages._workflows import run_project

    project = find_project(project_dir)
    with progress_callbacks(as_json, plan_run(project)) as callbacks:
        report_data = run_project(project, callbacks)
    if zip_path is not None:
        pack_bundle(project.bundle_path, zip_path)
    if container is not None:
        write_container(project.bundle_path, container, project.root.name)
    output.print_result(report_data, as_json)


def add_stage_command(stage: str, summary: str) -> None:
    """Add the command of a stage that needs no arguments of its own: run up to it."""

    def run_until(project_dir: ProjectDirOption = None, as_json: JsonOption = False) -> None:
        from fieldcraft.cli import output
        from fieldcraft.stages._pipeline import plan_run
        from fieldcraft.stages._workflows import run_project

        project = find_project(project_dir)
        with progress_callbacks(as_json, plan_run(project, stage)) as callbacks:
            report_data = run_project(project, callbacks, stage)
        output.print_result(report_data, as_json)

    app.command(stage, help=summary)(run_until)


for stage, summary in {  # as `Stage.summary` says; importing the stages would make --help slow
    "split": "Divide the rows into training, tune, judge and sealed test rows.",
    "baseline": "Train the baselines: what any model must beat.",
    "train": "Train the model that the project file asks for.",
    "blend": "Blend the trained models where together they are better.",
    "explain": "Tell on which columns the champion's predictions hang.",
}.items():
    add_stage_command(stage, summary)


@app.command()
def status(project_dir: ProjectDirOption = None, as_json: JsonOption = False) -> None:
    """Show where the project stands."""
    from fieldcraft.cli import output

    output.print_status(find_project(project_dir), as_json)


@app.command()
def log(project_dir: ProjectDirOption = None, as_json: JsonOption = False) -> None:
    """Show every entry of the ledger, oldest first."""
    from fieldcraft.cli import output

    output.print_log(find_project(project_dir), as_json)


@app.command()
def reproduce(project_dir: ProjectDirOption = None, as_json: JsonOption = False) -> None:
    """Do the whole run over again and see whether the same comes out."""
    from fieldcraft.cli import output
    from fieldcraft.stages._workflows import reproduce_project

    project = find_project(project_dir)
    with progress_callbacks(as_json) as callbacks:
        comparisons = reproduce_project(project, callbacks)
    output.print_reproduction(comparisons, as_json)
    if not all(item["same"] for item in comparisons):
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON schema of the project file, for editors."""
    from fieldcraft.project.project_file import build_editor_schema as described

    print(json.dumps(described(), indent=1))


@app.command()
def verify(project_dir: ProjectDirOption = None, as_json: JsonOption = False) -> None:
    """Check the chain of evidence and the bundle."""
    from fieldcraft.cli import output

    output.print_verification(find_project(project_dir), as_json)
