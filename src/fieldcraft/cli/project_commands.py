"""Commands that make a project, run its stages and repeat a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fieldcraft.bundle.archive import pack_bundle
from fieldcraft.cli import output
from fieldcraft.cli.options import (
    ColumnNamesOption,
    JsonOption,
    ProjectDirOption,
    TableArgument,
    TargetOption,
    TaskOption,
    TestOption,
    ValidationOption,
    find_project,
    progress_callbacks,
    split_names,
)
from fieldcraft.cli.project_setup import (
    RunOptions,
    default_project_folder,
    prepare_project,
    preview_run,
)
from fieldcraft.contracts import Stage
from fieldcraft.core.catalog import load_plugin
from fieldcraft.core.errors import ProjectError
from fieldcraft.report.report_data import ReportData
from fieldcraft.stages._container import write_container
from fieldcraft.stages._pipeline import plan_run, run_steps
from fieldcraft.stages._workflows import (
    publish_run,
    reproduce_project,
    run_final_evaluation,
    run_project,
)
from fieldcraft.stages.init import InitRequest
from fieldcraft.stages.init import init as write_project

app = typer.Typer(rich_markup_mode=None)  # plain help, as of the whole program


def run_stages(
    project_dir: Path | None, as_json: bool, until: str | None = None, fix: bool = False
) -> ReportData:
    """Run a project up to a stage, with the progress display."""
    project = find_project(project_dir)
    with progress_callbacks(as_json, plan_run(project, until)) as callbacks:
        return run_project(project, callbacks, until, fix)


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
    """Write a project file for a table, without running anything."""
    if target is None:
        raise ProjectError("no target given", detail=f"init {table}", hint="pass --target COLUMN")
    targets = split_names(target)
    target_folder = project_dir or default_project_folder(table, targets)
    result = write_project(
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
        print(f"review it, then: fieldcraft run --dir {target_folder}")


@app.command()
def run(
    table: Annotated[
        str | None, typer.Argument(help="Table; leave it out to continue a project.")
    ] = None,
    target: TargetOption = None,
    validation: ValidationOption = None,
    test: TestOption = None,
    column_names: ColumnNamesOption = None,
    task: TaskOption = None,
    project_dir: ProjectDirOption = None,
    until: Annotated[str | None, typer.Option(help="Last stage to run, e.g. audit.")] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Apply suggested fixes to the project file.")
    ] = False,
    budget: Annotated[str | None, typer.Option(help="Training time, e.g. 90s, 5m, 1h.")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed of split and training.")] = None,
    goal: Annotated[
        str | None, typer.Option(help='Metric and value to reach, e.g. "roc_auc >= 0.93".')
    ] = None,
    max_latency_ms: Annotated[
        float | None, typer.Option(help="Latency limit for one row, in milliseconds.")
    ] = None,
    max_size_mb: Annotated[
        float | None, typer.Option(help="Size limit of the bundle, in megabytes.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Training device: auto, cpu, cuda, mps.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print the steps and a time estimate.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Turn a table into a report and a bundle; completed steps are reused."""
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
        goal,
        max_latency_ms,
        max_size_mb,
    )
    if dry_run:
        output.print_plan(preview_run(run_options, until), as_json)
        return
    project = prepare_project(run_options)
    with progress_callbacks(as_json, plan_run(project, until)) as callbacks:
        report_data = publish_run(project, run_steps(project, callbacks, until, fix))
    output.print_result(report_data, as_json)


@app.command()
def audit(
    fix: Annotated[
        bool, typer.Option("--fix", help="Apply suggested fixes to the project file.")
    ] = False,
    project_dir: ProjectDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the data, before and after the split."""
    output.print_findings(run_stages(project_dir, as_json, "audit", fix), as_json)


@app.command()
def evaluate(
    final: Annotated[bool, typer.Option("--final", help="Open the sealed test set.")] = False,
    reopen: Annotated[
        str | None, typer.Option(help="Reason for opening the test set again.")
    ] = None,
    project_dir: ProjectDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate and compare all models; --final opens the sealed test set."""
    if final:
        with progress_callbacks(as_json) as callbacks:
            report_data = run_final_evaluation(find_project(project_dir), callbacks, reopen)
    else:
        report_data = run_stages(project_dir, as_json, "evaluate")
    output.print_result(report_data, as_json)


@app.command()
def package(
    zip_path: Annotated[
        Path | None, typer.Option("--zip", help="Also write the bundle as a .zip file.")
    ] = None,
    container: Annotated[
        Path | None, typer.Option(help="Also write a folder with a Dockerfile.")
    ] = None,
    project_dir: ProjectDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Package the champion as a bundle that predicts without PyTorch."""
    report_data = run_stages(project_dir, as_json)
    project = report_data.project
    if zip_path is not None:
        pack_bundle(project.bundle_path, zip_path)
    if container is not None:
        write_container(project.bundle_path, container, project.root.name)
    output.print_result(report_data, as_json)


@app.command()
def reproduce(project_dir: ProjectDirOption = None, as_json: JsonOption = False) -> None:
    """Repeat the whole run in a separate folder and compare the results."""
    project = find_project(project_dir)
    with progress_callbacks(as_json) as callbacks:
        comparisons = reproduce_project(project, callbacks)
    output.print_reproduction(comparisons, as_json)
    if not all(item["identical"] for item in comparisons):
        raise typer.Exit(1)


def add_stage_command(name: str) -> None:
    """Add a command that runs the project up to a stage."""
    stage: Stage = load_plugin("stages", name)

    @app.command(name, help=stage.summary)
    def run_until(project_dir: ProjectDirOption = None, as_json: JsonOption = False) -> None:
        output.print_result(run_stages(project_dir, as_json, name), as_json)


for stage_name in ("split", "baseline", "train", "ensemble", "explain"):
    add_stage_command(stage_name)
