"""Commands that show and check what was recorded."""

from __future__ import annotations

import json

import typer

from fieldcraft.cli import output
from fieldcraft.cli.options import (
    JsonOption,
    ProjectDirOption,
    find_project,
)
from fieldcraft.project.project_file import build_editor_schema

app = typer.Typer(rich_markup_mode=None)  # plain help, as of the whole program


@app.command()
def status(project_dir: ProjectDirOption = None, as_json: JsonOption = False) -> None:
    """Show the current results of the project."""
    output.print_status(find_project(project_dir), as_json)


@app.command()
def log(project_dir: ProjectDirOption = None, as_json: JsonOption = False) -> None:
    """Print every ledger entry, oldest first."""
    output.print_log(find_project(project_dir), as_json)


@app.command()
def schema() -> None:
    """Print the JSON schema of the project file, for editors."""
    print(json.dumps(build_editor_schema(), indent=1))


@app.command()
def verify(project_dir: ProjectDirOption = None, as_json: JsonOption = False) -> None:
    """Check the hash chain of the ledger, the run folders and the bundle."""
    output.print_verification(find_project(project_dir), as_json)
