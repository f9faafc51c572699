"""Commands that predict with a bundle, for a table or over HTTP, without training libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fieldcraft.cli import output
from fieldcraft.cli.options import (
    JsonOption,
    ProjectDirOption,
    find_project,
)
from fieldcraft.cli.progress import show_row_progress
from fieldcraft.stages.predict import PredictRequest
from fieldcraft.stages.predict import predict as predict_table
from fieldcraft.stages.serve import ServeRequest
from fieldcraft.stages.serve import serve as run_server

app = typer.Typer(rich_markup_mode=None)  # plain help, as of the whole program


@app.command()
def predict(
    bundle: Annotated[str, typer.Argument(help="Bundle; or, inside a project, the table.")],
    rows: Annotated[str | None, typer.Argument(help="Table of rows to predict.")] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Output: .csv, .parquet or .jsonl.")
    ] = Path("predictions.csv"),
    memory_mb: Annotated[
        float, typer.Option(min=0.001, help="Memory limit for rows, in megabytes.")
    ] = 256,
    max_rejected_fraction: Annotated[
        float, typer.Option(min=0, max=1, help="Fraction of rows that may be rejected.")
    ] = 0.01,
    project_dir: ProjectDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict the rows of a table with a bundle; resumes after an interruption."""
    # A single argument is the table: the bundle is then that of the project.
    bundle_path, table = (
        (find_project(project_dir).bundle_path, bundle) if rows is None else (Path(bundle), rows)
    )
    with show_row_progress("predict", as_json) as on_rows:
        result = predict_table(
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
            help="Bundles, PATH or NAME=PATH; by default the project's.",
            envvar="FIELDCRAFT_BUNDLES",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on.", envvar="FIELDCRAFT_HOST")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        # Vertex AI sets AIP_HTTP_PORT.
        typer.Option(help="Port; 0 picks a free one.", envvar=["AIP_HTTP_PORT", "FIELDCRAFT_PORT"]),
    ] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes per model.")] = 1,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the access token; or set FIELDCRAFT_TOKEN.")
    ] = None,
    cert: Annotated[Path | None, typer.Option(help="TLS certificate.")] = None,
    key: Annotated[Path | None, typer.Option(help="TLS private key.")] = None,
    log: Annotated[Path | None, typer.Option(help="Prediction log folder.")] = None,
    project_dir: ProjectDirOption = None,
) -> None:
    """Serve bundles over HTTP: predictions, metrics, health."""

    def on_started(address: Any) -> None:
        scheme = "http" if cert is None else "https"
        print(f"listening on {scheme}://{address[0]}:{address[1]} (docs at /docs)", flush=True)

    bundle_specs = bundles or [str(find_project(project_dir).bundle_path)]
    run_server(
        ServeRequest(bundle_specs, host, port, workers, token_file, cert, key, log, on_started)
    )
