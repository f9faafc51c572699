"""Show on the terminal how a run goes: a live line where there is a person, plain lines else."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

TITLES = {
    "audit": "audit all rows",
    "split": "split and seal",
    "audit-split": "audit training rows",
    "baseline": "train baselines",
    "train": "train the model",
    "blend": "blend the models",
    "evaluate": "evaluate",
    "explain": "weigh the columns",
    "package": "package",
}
BAR = 18


class Terminal:
    """Watches a run and shows it on standard error."""

    def __init__(self, console: Console | None = None) -> None:
        """Watch on a console; standard error if none is given."""
        self.console = console or Console(stderr=True, highlight=False)
        self.live: Live | None = None

    def __enter__(self) -> Terminal:
        """Start to show."""
        if self.console.is_terminal:
            self.live = Live(console=self.console, refresh_per_second=8, transient=True)
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Clear the live line."""
        if self.live:
            self.live.stop()

    def started(self, step: str) -> None:
        """A step begins."""
        self.said(step, "", None)

    def said(self, step: str, text: str, share: float | None) -> None:
        """A step says how far it is."""
        if self.live:
            line = Table.grid(padding=(0, 1))
            line.add_column(width=20)
            line.add_column(width=BAR)
            line.add_column(overflow="ellipsis", no_wrap=True)
            bar = ProgressBar(total=1, completed=share or 0, width=BAR, pulse=share is None)
            line.add_row(Text(TITLES.get(step, step), style="bold"), bar, Text(text, style="dim"))
            self.live.update(line)

    def finished(self, step: str, seconds: float, summary: dict[str, Any]) -> None:
        """A step is done."""
        self._line("[green]done[/]", step, f"{seconds:.1f} s")

    def skipped(self, step: str) -> None:
        """A step was done already."""
        self._line("[dim]kept[/]", step, "nothing it depends on has changed")

    def fixed(self, finding: Any) -> None:
        """A finding was mended in the project file."""
        edits = "; ".join(change.in_words() for change in finding.fixes)
        self.console.print(f"[yellow]mended[/] {finding.title} -> {edits}", soft_wrap=True)

    def _line(self, mark: str, step: str, text: str) -> None:
        self.console.print(f"{mark} {TITLES.get(step, step):<20} [dim]{text}[/]")
