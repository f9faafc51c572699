"""Print errors and save tracebacks; rich is imported only when there is an error."""

from __future__ import annotations


def print_error(what: str, detail: str, hint: str) -> None:
    """Print an error in three parts: what is wrong, the detail, a hint."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table as Grid
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    grid = Grid.grid(padding=(0, 1))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    # `Text`, not markup: paths and values may contain brackets.
    grid.add_row("detail", Text(detail))
    grid.add_row("hint", Text(hint))
    console.print(Text.assemble(("error: ", "bold red"), (what, "bold")))
    console.print(Padding(grid, (0, 0, 0, 2)))


def write_traceback(error: Exception) -> str:
    """Write the traceback to a temporary file and return its path."""
    import tempfile
    import traceback

    # Kept after the process ends: the user attaches it to a report.
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix="fieldcraft-error-", suffix=".txt", delete=False
    ) as stream:
        stream.write("".join(traceback.format_exception(error)))
    return stream.name
