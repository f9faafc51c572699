"""Progress of a run: a live display on a terminal, plain lines otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    "ensemble": "ensemble the models",
    "evaluate": "evaluate",
    "explain": "compute feature importance",
    "package": "package",
}
BAR_WIDTH = 18
TITLE_WIDTH = 26
MIN_FRACTION_FOR_ETA = 0.1  # of a step; before that its speed is too uncertain to extrapolate


class ProgressDisplay:
    """Callbacks that show the progress of a run on standard error."""

    def __init__(self, console: Console | None = None) -> None:
        """A display on a console, by default standard error."""
        self.console = console or Console(stderr=True, highlight=False)
        self.live: Live | None = None
        self.expected_seconds: dict[str, float] = {}  # of the steps to come
        self.n_steps = 0
        self.step_start = time.monotonic()

    def __enter__(self) -> ProgressDisplay:
        """Start the live display if the console is a terminal."""
        # In a file or a CI log a live display is noise: only completed steps are printed there.
        if self.console.is_terminal:
            self.live = Live(console=self.console, refresh_per_second=8, transient=True)
            self.live.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Clear the live display."""
        if self.live:
            self.live.stop()

    def set_plan(self, planned: Sequence[PlannedStep]) -> None:
        """Set the steps that will run, and how long each is expected to take."""
        self.expected_seconds = {
            step.name: step.seconds or 0.0 for step in planned if not step.done
        }
        self.n_steps = len(self.expected_seconds)

    def on_step_start(self, step: str) -> None:
        """A step starts."""
        self.step_start = time.monotonic()
        self.on_progress(step, "", None)

    def on_progress(self, step: str, message: str, fraction: float | None) -> None:
        """A step reports progress; the fraction is None where it is unknown."""
        if self.live:
            grid = Table.grid(padding=(0, 1))
            grid.add_column(width=TITLE_WIDTH)
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
        """The line of the whole run: steps completed and time left."""
        n_done = self.n_steps - len(self.expected_seconds)
        elapsed = time.monotonic() - self.step_start
        # At first the estimate of the plan; from a tenth of the step on, its measured speed.
        remaining = max(self.expected_seconds.get(step, 0.0) - elapsed, 0.0)
        if fraction is not None and fraction > MIN_FRACTION_FOR_ETA:
            remaining = elapsed / fraction - elapsed
        remaining += sum(seconds for name, seconds in self.expected_seconds.items() if name != step)
        eta_text = f"step {n_done + 1} of {self.n_steps}, about {format_duration(remaining)} left"
        return (
            Text("total", "dim"),
            progress_bar(n_done / self.n_steps),
            Text(eta_text, "dim"),
        )

    def on_epoch_end(self, step: str, epoch: int, metrics: Mapping[str, float]) -> bool:
        """A training has finished an epoch, and goes on."""
        return False

    def is_cancelled(self) -> bool:
        """The run goes on."""
        return False

    def on_step_end(self, step: str, seconds: float, summary: dict[str, Any]) -> None:
        """A step is completed."""
        self.expected_seconds.pop(step, None)
        self._print_line("[green]done[/]", step, format_duration(seconds))

    def on_step_skip(self, step: str) -> None:
        """A step is up to date and is skipped."""
        self.expected_seconds.pop(step, None)
        self._print_line("[dim]up to date[/]", step, "nothing it depends on has changed")

    def on_fix(self, finding: Any) -> None:
        """A finding was fixed in the project file."""
        edits = "; ".join(edit.describe() for edit in finding.fixes)
        self.console.print(f"[yellow]fixed[/] {finding.title} -> {edits}", soft_wrap=True)

    def _print_line(self, mark: str, step: str, text: str) -> None:
        self.console.print(f"{mark} {STEP_TITLES.get(step, step):<{TITLE_WIDTH}} [dim]{text}[/]")


@contextmanager
def show_row_progress(
    title: str, is_silent: bool, console: Console | None = None
) -> Iterator[Callable[[int, float], None]]:
    """Show on a terminal the fraction of rows done, rows per second and the time left.

    Args:
        title: shown before the bar.
        is_silent: show nothing, as with ``--json``.
        console: by default standard error.
    """
    console = console or Console(stderr=True, highlight=False)
    if is_silent or not console.is_terminal:
        yield lambda rows, fraction: None
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
    """Estimates rows per second and the time left.

    Rows that an interrupted run completed before do not count toward the speed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the clock."""
        self.clock = clock
        self.start = clock()
        self.rows = 0
        self.first_fraction: float | None = None  # done before this process started
        self.fraction = 0.0

    def update(self, rows: int, fraction: float) -> None:
        """Add rows, and set which fraction of all is done."""
        self.first_fraction = fraction if self.first_fraction is None else self.first_fraction
        self.rows += rows
        self.fraction = fraction

    def format(self) -> str:
        """Fraction done, rows per second and the time left once they can be estimated.

        >>> eta = EtaEstimator(iter([0.0, 10.0]).__next__)
        >>> eta.update(0, 0.2), eta.update(5_000, 0.6)
        (None, None)
        >>> eta.format()
        '60 %, 500 rows/s, about 10.0 s left'
        """
        elapsed = self.clock() - self.start
        gained_fraction = self.fraction - (self.first_fraction or 0.0)
        if elapsed <= 0 or gained_fraction <= 0:
            return f"{100 * self.fraction:.0f} %"
        remaining = format_duration(elapsed * (1 - self.fraction) / gained_fraction)
        rows_per_second = f"{self.rows / elapsed:,.0f} rows/s"
        return f"{100 * self.fraction:.0f} %, {rows_per_second}, about {remaining} left"


def progress_bar(fraction: float | None) -> ProgressBar:
    """A bar that pulses where the fraction is unknown."""
    return ProgressBar(total=1, completed=fraction or 0, width=BAR_WIDTH, pulse=fraction is None)
