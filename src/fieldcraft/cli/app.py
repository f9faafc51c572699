"""The command line: the list of commands, and what users see when a command fails.

The module of a command is imported when the command is called, because ``fieldcraft --help`` has
to stay as fast as Typer itself (tests/test_imports.py). ``--help`` prints the table below instead.
"""

from __future__ import annotations

import errno
import sys
from importlib import import_module
from typing import Any

import typer

from fieldcraft.cli.errors import print_error, write_traceback
from fieldcraft.core.errors import FieldcraftError

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h
# Modules below fieldcraft.cli, with their commands.
MODULES = {
    "project_commands": (
        "init",
        "run",
        "audit",
        "split",
        "baseline",
        "train",
        "ensemble",
        "evaluate",
        "explain",
        "package",
        "reproduce",
    ),
    "serving_commands": ("predict", "serve"),
    "monitoring_commands": ("monitor", "feedback", "retrain", "rollback"),
    "record_commands": ("status", "log", "verify", "schema"),
}
# What `--help` prints, in this order; a test compares it with the commands themselves.
SUMMARIES = {
    "init": "Write a project file for a table, without running anything.",
    "run": "Turn a table into a report and a bundle; completed steps are reused.",
    "audit": "Check the data, before and after the split.",
    "split": "Split the rows into train, validation, evaluation and sealed test parts.",
    "baseline": "Train the baselines.",
    "train": "Train the model that the project file asks for.",
    "ensemble": "Ensemble the trained models where that is better.",
    "evaluate": "Evaluate and compare all models; --final opens the sealed test set.",
    "explain": "Compute feature importance and explain single predictions.",
    "package": "Package the champion as a bundle that predicts without PyTorch.",
    "predict": "Predict the rows of a table with a bundle; resumes after an interruption.",
    "serve": "Serve bundles over HTTP: predictions, metrics, health.",
    "monitor": "Report data-quality and drift alerts; exit code 1 if any is active.",
    "feedback": "Measure performance once labels arrive; exit code 1 if it degraded.",
    "retrain": "Train a challenger; promote it only if it is better (else exit code 1).",
    "rollback": "Make the previous bundle the current one again.",
    "status": "Show the current results of the project.",
    "log": "Print every ledger entry, oldest first.",
    "verify": "Check the hash chain of the ledger, the run folders and the bundle.",
    "reproduce": "Repeat the whole run in a separate folder and compare the results.",
    "schema": "Print the JSON schema of the project file, for editors.",
}


class LazyCommands(typer.core.TyperGroup):
    """A group whose commands are imported when they are called, not when they are listed."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the commands, in the order of the table."""
        return list(SUMMARIES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name, imported; None if there is none."""
        for name, commands in MODULES.items():
            if cmd_name in commands:
                module = import_module(f"fieldcraft.cli.{name}")
                return typer.main.get_group(module.app).commands[cmd_name]
        return None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


app = typer.Typer(
    name="fieldcraft",
    cls=LazyCommands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)


@app.callback()
def fieldcraft() -> None:
    """From raw data to a model in production, with the evidence to back it."""


def main() -> None:
    """Run the command line; an expected error prints three short lines and exits with code 2."""
    try:
        app()
    except FieldcraftError as error:
        print_error(error.what, error.detail, error.hint)
        sys.exit(2)
    except OSError as error:
        hint = (
            "free some space, or use another --dir"
            if error.errno == errno.ENOSPC
            else "check that the path exists and that you may read and write there"
        )
        print_error(str(error.strerror or error), str(error.filename or type(error).__name__), hint)
        sys.exit(2)
    except SystemExit as system_exit:  # Typer has turned Ctrl+C into an exit code
        if system_exit.code == EXIT_INTERRUPTED:
            print("interrupted: run the same command again to resume", file=sys.stderr)
        raise
    except Exception as error:  # noqa: BLE001  users see no traceback; it goes to a file
        print_error(
            "internal error; completed steps are not lost",
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            f"please report it and attach {write_traceback(error)}",
        )
        sys.exit(EXIT_INTERNAL_ERROR)
