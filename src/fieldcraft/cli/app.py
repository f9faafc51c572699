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
    from fieldcraft.project.folder import Folder

INTERRUPTED = 130
INTERNAL = 70  # EX_SOFTWARE of sysexits.h
MOST_SAID = 500  # characters of a reason

app = typer.Typer(
    name="fieldcraft",
    help="From raw data to a model in production that you can vouch for.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)

Dir = Annotated[Path | None, typer.Option("--dir", help="Folder of the project.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Target = Annotated[
    str | None,
    typer.Option(help="Column to predict: its name, or its number from 1; labels a,b,c."),
]
Names = Annotated[str | None, typer.Option(help="Column names a,b,... of a file without a header.")]
Table = Annotated[
    str,
    typer.Argument(help="The table: .csv, .tsv, .jsonl, .parquet, .zip, a folder, sqlite:///..."),
]
Validation = Annotated[
    str | None, typer.Option("--val", help="Validation file of a ready-made split.")
]
Test = Annotated[str | None, typer.Option("--test", help="Test file of a ready-made split.")]
TaskName = Annotated[
    str | None, typer.Option(help="What the target asks: binary, multiclass, regression.")
]


def main() -> None:
    """Run the command line; errors made on purpose end in one short block and exit code 2."""
    from fieldcraft.core.errors import FieldcraftError

    try:
        app()
    except FieldcraftError as error:
        complain(error.what, error.seen, error.way_out)
        sys.exit(2)
    except OSError as error:
        way_out = (
            "free some space, or use another --dir"
            if error.errno == 28
            else ("check that the path exists and that you may read and write there")
        )
        complain(str(error.strerror or error), str(error.filename or type(error).__name__), way_out)
        sys.exit(2)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            print("stopped; nothing is lost: run the same command again to go on", file=sys.stderr)
        raise
    except Exception as error:  # noqa: BLE001  nobody is to be shown a traceback
        complain(
            "something went wrong inside Fieldcraft; nothing that was done is lost",
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            f"please report it with the details in {details_of(error)}",
        )
        sys.exit(INTERNAL)


def details_of(error: Exception) -> str:
    """The path of a file that holds the traceback of an error."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix="fieldcraft-error-", suffix=".txt", delete=False
    ) as stream:
        stream.write("".join(traceback.format_exception(error)))
    return stream.name


def complain(what: str, seen: str, way_out: str) -> None:
    """Show an error: what is wrong, what was seen, the way out."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table as Grid
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    grid = Grid.grid(padding=(0, 1))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    grid.add_row("seen", Text(seen))
    grid.add_row("way out", Text(way_out))
    console.print(Text.assemble(("error: ", "bold red"), (what, "bold")))
    console.print(Padding(grid, (0, 0, 0, 2)))


@contextmanager
def watching(as_json: bool, planned: Sequence[Any] = ()) -> Iterator[Any]:
    """A watcher that shows a run on standard error, or nothing for machines."""
    from fieldcraft.cli.watch import Terminal
    from fieldcraft.stages._flow import Unwatched

    if as_json:
        yield Unwatched()
    else:
        with Terminal() as terminal:
            terminal.expect(planned)
            yield terminal


def find(folder: Path | None) -> Folder:
    """The project of a folder, or of the present one."""
    from fieldcraft.project.folder import Folder

    return Folder.find(folder or Path.cwd())


def several(text: str | None) -> tuple[str, ...]:
    """Names that stand in one argument, cut at the commas."""
    return tuple(name.strip() for name in text.split(",")) if text else ()


@app.command()
def init(
    table: Table,
    target: Target = None,
    val: Validation = None,
    test: Test = None,
    names: Names = None,
    task: TaskName = None,
    dir: Dir = None,
    as_json: AsJson = False,
) -> None:
    """Write the project file from a look at a table."""
    from fieldcraft.cli.start import folder_for
    from fieldcraft.core.errors import ProjectError
    from fieldcraft.stages.init import Request
    from fieldcraft.stages.init import init as write

    if target is None:
        raise ProjectError(
            "no target is given", seen=f"init {table}", way_out="pass --target COLUMN"
        )
    targets = several(target)
    folder = dir or folder_for(table, targets)
    result = write(Request(folder, table, targets, val, test, several(names), task))
    if as_json:
        print(json.dumps(result))
    else:
        print(f"wrote {result['file']}: predict {result['target']} ({result['task']})")
        for note in result["notes"]:
            print(f"note: {note}")
        print(f"look it over, then: fieldcraft run --dir {folder}")


@app.command()
def run(
    table: Annotated[
        str | None, typer.Argument(help="The table; none to go on in a project.")
    ] = None,
    target: Target = None,
    val: Validation = None,
    test: Test = None,
    names: Names = None,
    task: TaskName = None,
    dir: Dir = None,
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
    as_json: AsJson = False,
) -> None:
    """Go from table to report and bundle; what is done is kept."""
    from fieldcraft.cli import show
    from fieldcraft.cli.start import Wish, plan, prepare
    from fieldcraft.stages._flow import forecast, run_project

    wish = Wish(table, several(target), val, test, several(names), task, dir, budget, seed, device)
    if dry_run:
        show.plan(plan(wish, until), as_json)
        return
    project = prepare(wish)
    with watching(as_json, forecast(project, until)) as watcher:
        story = run_project(project, watcher, until, fix)
    show.result(story, as_json)


@app.command()
def predict(
    bundle: Annotated[str, typer.Argument(help="A bundle; may be left out inside a project.")],
    rows: Annotated[str | None, typer.Argument(help="The rows, as a table.")] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Output, .csv, .parquet or .jsonl.")
    ] = Path("predictions.csv"),
    memory: Annotated[
        float, typer.Option(min=0.001, help="Megabytes that rows may take at once.")
    ] = 256,
    set_aside: Annotated[
        float, typer.Option(min=0, max=1, help="Share of rows that may be set aside.")
    ] = 0.01,
    dir: Dir = None,
    as_json: AsJson = False,
) -> None:
    """Predict the rows of a table with a bundle; started again after a stop, it goes on."""
    from fieldcraft.cli import show
    from fieldcraft.cli.watch import counting
    from fieldcraft.stages.predict import Request
    from fieldcraft.stages.predict import predict as write

    place, table = (find(dir).bundle, bundle) if rows is None else (Path(bundle), rows)
    with counting("predict", as_json) as told:
        result = write(Request(place, table, out, memory, set_aside, told=told))
    show.predicted(result, as_json)


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
    dir: Dir = None,
) -> None:
    """Put bundles behind HTTP: predictions, metrics, health."""
    from fieldcraft.stages.serve import Request
    from fieldcraft.stages.serve import serve as run

    def started(address: Any) -> None:
        scheme = "http" if cert is None else "https"
        print(f"listening on {scheme}://{address[0]}:{address[1]} (docs at /docs)", flush=True)

    given = bundles or [str(find(dir).bundle)]
    run(Request(given, host, port, workers, token_file, cert, key, log, started))


@app.command()
def watch(
    bundle: Annotated[str, typer.Argument(help="A bundle; may be left out inside a project.")],
    rows_of: Annotated[
        str | None,
        typer.Argument(metavar="SOURCE", help="Folder of the prediction log, or a table."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for state and report.")
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Rows of a window.")] = None,
    every: Annotated[
        str | None, typer.Option(help="Length of a window instead, such as 1h.")
    ] = None,
    season: Annotated[
        str | None, typer.Option(help="Compare with the same time of the day or of the week.")
    ] = None,
    alerts: Annotated[Path | None, typer.Option(help="File that alerts are added to.")] = None,
    command: Annotated[str | None, typer.Option(help="Command that gets each alert.")] = None,
    webhook: Annotated[
        str | None, typer.Option(envvar="FIELDCRAFT_WEBHOOK", help="Address to post alerts to.")
    ] = None,
    server: Annotated[
        str | None, typer.Option(help="Address of the server: tell its latency and errors too.")
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train a challenger if there are new alerts.")
    ] = False,
    dir: Dir = None,
    as_json: AsJson = False,
) -> None:
    """Tell what is broken and what drifts at work; exit code 1 if anything."""
    from fieldcraft.cli.drift import told, watched
    from fieldcraft.cli.start import seconds
    from fieldcraft.stages.watch import Request
    from fieldcraft.stages.watch import watch as look

    project = find(dir) if rows_of is None else None
    place, source = (project.bundle, bundle) if project else (Path(bundle), str(rows_of))
    folder = out or (project.root / "watch" if project else Path("watch"))
    span = None if every is None else seconds(every, "--every")
    tell = told(project, alerts, command, webhook, server)
    result = look(Request(place, source, folder, rows, span, season, tell))
    watched(result, as_json)
    if retrain and result["new"]:
        answer_alerts(find(dir), source, result["new"], as_json)
    if result["stand"]:
        raise typer.Exit(1)


@app.command()
def labels(
    table: Annotated[str, typer.Argument(help="The labels: request, row, and the target.")],
    log: Annotated[str, typer.Option(help="Folder of the prediction log.")],
    bundle: Annotated[
        Path | None, typer.Option(help="The bundle; that of the project if left out.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the watch.")] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train a challenger if they have become worse.")
    ] = False,
    dir: Dir = None,
    as_json: AsJson = False,
) -> None:
    """Tell how good predictions were, once labels are there; exit code 1 if they are worse."""
    from fieldcraft.cli.drift import labelled, told
    from fieldcraft.stages.labels import Request
    from fieldcraft.stages.labels import labels as join

    project = None if bundle else find(dir)
    place = bundle or find(dir).bundle
    folder = out or (project.root / "watch" if project else Path("watch"))
    result = join(Request(place, table, log, folder, told(project)))
    labelled(result, as_json)
    if retrain and result["new"]:
        answer_alerts(find(dir), log, [{"text": "predictions have become worse"}], as_json)
    if result["alarmed"] or any(one["alarmed"] for one in result["groups"]):
        raise typer.Exit(1)


def answer_alerts(project: Folder, log: str, new: Sequence[Any], as_json: bool) -> None:
    """Train a challenger because of alerts; what came of it goes to standard error."""
    from fieldcraft.cli.champions import retrained
    from fieldcraft.stages._flow import retrain_project

    why = "; ".join(alert["text"] for alert in new)
    with watching(as_json) as watcher:
        result = retrain_project(project, watcher, {"log": log, "why": why[:MOST_SAID]})
    retrained(result, as_json, sys.stderr)


@app.command()
def retrain(
    log: Annotated[
        str | None, typer.Option(help="Folder of the prediction log; the one that is watched.")
    ] = None,
    rows: Annotated[
        str | None, typer.Option(help="A table of labelled rows, instead of log and labels.")
    ] = None,
    every: Annotated[
        str | None, typer.Option(help="Do it again and again, after such a time: 1d, 12h.")
    ] = None,
    why: Annotated[str, typer.Option(help="The reason, for the record.")] = "",
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also with broken columns or few new rows.")
    ] = False,
    dir: Dir = None,
    as_json: AsJson = False,
) -> None:
    """Train a challenger on new rows; it is promoted only if it is better (else exit code 1)."""
    from fieldcraft.cli.champions import retrained
    from fieldcraft.cli.start import seconds
    from fieldcraft.stages._flow import retrain_project

    project = find(dir)
    asked = {"log": log, "rows": rows, "why": why, "anyway": anyway}

    def once() -> str:
        with watching(as_json) as watcher:
            result = retrain_project(project, watcher, asked)
        retrained(result, as_json)
        return str(result["outcome"])

    if every is not None:
        again_and_again(once, seconds(every, "--every"))
    if once() in ("refused", "blocked"):
        raise typer.Exit(1)


def again_and_again(once: Callable[[], object], pause: float) -> NoReturn:
    """Do something, wait, and do it again; an error is shown, and does not end it."""
    from fieldcraft.core.errors import FieldcraftError

    while True:
        try:
            once()
        except FieldcraftError as error:
            complain(error.what, error.seen, error.way_out)
        time.sleep(pause)


@app.command()
def rollback(
    to: Annotated[str | None, typer.Option(help="How the id of the version begins.")] = None,
    why: Annotated[str, typer.Option(help="The reason, for the record.")] = "",
    show: Annotated[bool, typer.Option("--list", help="Show the versions, change none.")] = False,
    dir: Dir = None,
    as_json: AsJson = False,
) -> None:
    """Make the bundle that was there before the current one again."""
    from fieldcraft.cli.champions import listed, rolled_back
    from fieldcraft.stages._flow import rollback_project, versions

    project = find(dir)
    if show:
        listed(versions(project), as_json)
    else:
        rolled_back(rollback_project(project, to, why), as_json)


@app.command()
def evaluate(
    final: Annotated[bool, typer.Option("--final", help="Open the sealed test set.")] = False,
    again: Annotated[
        str | None, typer.Option(help="Why the test set is to be opened once more.")
    ] = None,
    dir: Dir = None,
    as_json: AsJson = False,
) -> None:
    """Compare the models; --final opens the sealed test set."""
    from fieldcraft.cli import show
    from fieldcraft.stages._flow import final_evaluation, run_project

    project = find(dir)
    with watching(as_json) as watcher:
        if final:
            story = final_evaluation(project, watcher, again)
        else:
            story = run_project(project, watcher, "evaluate")
    show.result(story, as_json)


@app.command()
def audit(
    fix: Annotated[bool, typer.Option("--fix", help="Mend findings in the project file.")] = False,
    dir: Dir = None,
    as_json: AsJson = False,
) -> None:
    """Look for what is wrong with the data."""
    from fieldcraft.cli import show
    from fieldcraft.stages._flow import run_project

    project = find(dir)
    with watching(as_json) as watcher:
        story = run_project(project, watcher, "audit", fix)
    show.findings(story, as_json)


@app.command()
def package(
    zip: Annotated[Path | None, typer.Option(help="Also write the bundle as one .zip.")] = None,
    container: Annotated[
        Path | None, typer.Option(help="Also write a folder that builds a serving image.")
    ] = None,
    dir: Dir = None,
    as_json: AsJson = False,
) -> None:
    """Put the champion into a bundle that predicts without PyTorch."""
    from fieldcraft.bundle.archive import pack
    from fieldcraft.cli import show
    from fieldcraft.stages._container import write_container
    from fieldcraft.stages._flow import forecast, run_project

    project = find(dir)
    with watching(as_json, forecast(project)) as watcher:
        story = run_project(project, watcher)
    if zip is not None:
        pack(project.bundle, zip)
    if container is not None:
        write_container(project.bundle, container, project.root.name)
    show.result(story, as_json)


def command_until(stage: str, summary: str) -> None:
    """Add the command of a stage that needs no arguments of its own: run up to it."""

    def until(dir: Dir = None, as_json: AsJson = False) -> None:
        from fieldcraft.cli import show
        from fieldcraft.stages._flow import forecast, run_project

        project = find(dir)
        with watching(as_json, forecast(project, stage)) as watcher:
            story = run_project(project, watcher, stage)
        show.result(story, as_json)

    app.command(stage, help=summary)(until)


for stage, summary in {  # as `Stage.summary` says; importing the stages would make --help slow
    "split": "Divide the rows into training, tune, judge and sealed test rows.",
    "baseline": "Train the baselines: what any model must beat.",
    "train": "Train the model that the project file asks for.",
    "blend": "Blend the trained models where together they are better.",
    "explain": "Tell on which columns the champion's predictions hang.",
}.items():
    command_until(stage, summary)


@app.command()
def status(dir: Dir = None, as_json: AsJson = False) -> None:
    """Show where the project stands."""
    from fieldcraft.cli import show

    show.status(find(dir), as_json)


@app.command()
def log(dir: Dir = None, as_json: AsJson = False) -> None:
    """Show every entry of the ledger, oldest first."""
    from fieldcraft.cli import show

    show.log(find(dir), as_json)


@app.command()
def reproduce(dir: Dir = None, as_json: AsJson = False) -> None:
    """Do the whole run over again and see whether the same comes out."""
    from fieldcraft.cli import show
    from fieldcraft.stages._flow import reproduce_project

    project = find(dir)
    with watching(as_json) as watcher:
        found = reproduce_project(project, watcher)
    show.reproduced(found, as_json)
    if not all(item["same"] for item in found):
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON schema of the project file, for editors."""
    from fieldcraft.project.file import schema as described

    print(json.dumps(described(), indent=1))


@app.command()
def verify(dir: Dir = None, as_json: AsJson = False) -> None:
    """Check the chain of evidence and the bundle."""
    from fieldcraft.cli import show

    show.verify(find(dir), as_json)
