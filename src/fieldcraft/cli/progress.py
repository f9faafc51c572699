"""Show on the terminal how a run goes: a live view where there is a person, plain lines else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fieldcraft.core.formatting import format_duration

if TYPE_CHECKING:
    from fieldcraft.stages._pipeline import PlannedStep

STEP_TITLES = {
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
BAR_WIDTH = 18
MIN_FRACTION_FOR_ETA = (
    0.1  # share of a step that must be done before its pace says how long it takes
)


class ProgressDisplay:
    """Watches a run and shows it on standard error."""

    def __init__(self, console: Console | None = None) -> None:
        """Watch on a console; standard error if none is given."""
        self.console = console or Console(stderr=True, highlight=False)
        self.live: Live | None = None
        self.expected_seconds: dict[str, float] = {}  # seconds of the steps to come
        self.n_steps = 0
        self.step_start = time.monotonic()

    def __enter__(self) -> ProgressDisplay:
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
        """Clear the live view."""
        if self.live:
            self.live.stop()

    def set_plan(self, planned: Sequence[PlannedStep]) -> None:
        """Learn which steps will be run, and about how long they take."""
        self.expected_seconds = {
            step.name: step.seconds or 0.0 for step in planned if not step.done
        }
        self.n_steps = len(self.expected_seconds)

    def on_step_start(self, step: str) -> None:
        """A step begins."""
        self.step_start = time.monotonic()
        self.on_progress(step, "", None)

    def on_progress(self, step: str, message: str, fraction: float | None) -> None:
        """A step says how far it is."""
        if self.live:
            grid = Table.grid(padding=(0, 1))
            grid.add_column(width=20)
            grid.add_column(width=BAR_WIDTH)
            grid.add_column(overflow="ellipsis", no_wrap=True)
            grid.add_row(
                Text(STEP_TITLES.get(step, step), style="bold"),
                progress_bar(fraction),
                Text(message, "dim"),
            )
            if self.n_steps > 1:
                grid.add_row(*self._run_row(step, fraction))
            self.live.update(grid)

    def _run_row(self, step: str, fraction: float | None) -> tuple[Text, ProgressBar, Text]:
        """The line for the whole run: steps done, and the time left."""
        n_done = self.n_steps - len(self.expected_seconds)
        elapsed = time.monotonic() - self.step_start
        remaining = max(self.expected_seconds.get(step, 0.0) - elapsed, 0.0)
        if fraction is not None and fraction > MIN_FRACTION_FOR_ETA:
            remaining = elapsed / fraction - elapsed
        remaining += sum(seconds for name, seconds in self.expected_seconds.items() if name != step)
        eta_text = f"step {n_done + 1} of {self.n_steps}, about {format_duration(remaining)} left"
        return (
            Text("the whole run", "dim"),
            progress_bar(n_done / self.n_steps),
            Text(eta_text, "dim"),
        )

    def on_step_end(self, step: str, seconds: float, summary: dict[str, Any]) -> None:
        """A step is done."""
        self.expected_seconds.pop(step, None)
        self._print_line("[green]done[/]", step, format_duration(seconds))

    def on_step_skip(self, step: str) -> None:
        """A step was done already."""
        self.expected_seconds.pop(step, None)
        self._print_line("[dim]kept[/]", step, "nothing it depends on has changed")

    def on_fix(self, finding: Any) -> None:
        """A finding was mended in the project file."""
        edits = "; ".join(edit.in_words() for edit in finding.fixes)
        self.console.print(f"[yellow]mended[/] {finding.title} -> {edits}", soft_wrap=True)

    def _print_line(self, mark: str, step: str, text: str) -> None:
        self.console.print(f"{mark} {STEP_TITLES.get(step, step):<20} [dim]{text}[/]")


@contextmanager
def show_row_progress(
    title: str, is_silent: bool, console: Console | None = None
) -> Iterator[Callable[[int, float], None]]:
    """Show on a terminal how many rows are done, how many a second, and the time left.

    Args:
        title: what is done with the rows.
        is_silent: whether nothing is to be shown, as for machines.
        console: standard error if none is given.
    """
    console = console or Console(stderr=True, highlight=False)
    if is_silent or not console.is_terminal:
        yield lambda rows, share: None
        return
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        eta = EtaEstimator()

        def on_rows(rows: int, fraction: float) -> None:
            eta.update(rows, fraction)
            grid = Table.grid(padding=(0, 1))
            grid.add_row(
                Text(title, style="bold"), progress_bar(fraction), Text(eta.format(), "dim")
            )
            live.update(grid)

        yield on_rows


class EtaEstimator:
    """How fast rows are done, since the first was told of."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to count."""
        self.clock = clock
        self.start = clock()
        self.rows = 0
        self.first_fraction: float | None = None  # share that was done before
        self.fraction = 0.0

    def update(self, rows: int, fraction: float) -> None:
        """Count rows, and learn which share of all is done."""
        self.first_fraction = fraction if self.first_fraction is None else self.first_fraction
        self.rows += rows
        self.fraction = fraction

    def format(self) -> str:
        """Rows done and rows a second, and the time left once that can be told.

        >>> pace = Pace(iter([0.0, 10.0]).__next__)
        >>> pace.add(0, 0.2), pace.add(5_000, 0.6)
        (None, None)
        >>> pace.in_words()
        '60 %, 500 rows/s, about 10.0 s left'
        """
        elapsed, gained_fraction = (
            self.clock() - self.start,
            self.fraction - (self.first_fraction or 0.0),
        )
        if elapsed <= 0 or gained_fraction <= 0:
            return f"{100 * self.fraction:.0f} %"
        remaining = format_duration(elapsed * (1 - self.fraction) / gained_fraction)
        return f"{100 * self.fraction:.0f} %, {self.rows / elapsed:,.0f} rows/s, about {remaining} left"


def progress_bar(fraction: float | None) -> ProgressBar:
    """A bar that is full at 1, and swings where the share is not known."""
    return ProgressBar(total=1, completed=fraction or 0, width=BAR_WIDTH, pulse=fraction is None)
