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

from fieldcraft.core.words import duration

if TYPE_CHECKING:
    from fieldcraft.stages._flow import Planned

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
SURE = 0.1  # share of a step that must be done before its pace says how long it takes


class Terminal:
    """Watches a run and shows it on standard error."""

    def __init__(self, console: Console | None = None) -> None:
        """Watch on a console; standard error if none is given."""
        self.console = console or Console(stderr=True, highlight=False)
        self.live: Live | None = None
        self.planned: dict[str, float] = {}  # seconds of the steps to come
        self.steps = 0
        self.begun = time.monotonic()

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
        """Clear the live view."""
        if self.live:
            self.live.stop()

    def expect(self, planned: Sequence[Planned]) -> None:
        """Learn which steps will be run, and about how long they take."""
        self.planned = {step.name: step.seconds or 0.0 for step in planned if not step.done}
        self.steps = len(self.planned)

    def started(self, step: str) -> None:
        """A step begins."""
        self.begun = time.monotonic()
        self.said(step, "", None)

    def said(self, step: str, text: str, share: float | None) -> None:
        """A step says how far it is."""
        if self.live:
            view = Table.grid(padding=(0, 1))
            view.add_column(width=20)
            view.add_column(width=BAR)
            view.add_column(overflow="ellipsis", no_wrap=True)
            view.add_row(Text(TITLES.get(step, step), style="bold"), bar(share), Text(text, "dim"))
            if self.steps > 1:
                view.add_row(*self._whole(step, share))
            self.live.update(view)

    def _whole(self, step: str, share: float | None) -> tuple[Text, ProgressBar, Text]:
        """The line for the whole run: steps done, and the time left."""
        done = self.steps - len(self.planned)
        taken = time.monotonic() - self.begun
        left = max(self.planned.get(step, 0.0) - taken, 0.0)
        if share is not None and share > SURE:
            left = taken / share - taken
        left += sum(seconds for name, seconds in self.planned.items() if name != step)
        said = f"step {done + 1} of {self.steps}, about {duration(left)} left"
        return Text("the whole run", "dim"), bar(done / self.steps), Text(said, "dim")

    def finished(self, step: str, seconds: float, summary: dict[str, Any]) -> None:
        """A step is done."""
        self.planned.pop(step, None)
        self._line("[green]done[/]", step, duration(seconds))

    def skipped(self, step: str) -> None:
        """A step was done already."""
        self.planned.pop(step, None)
        self._line("[dim]kept[/]", step, "nothing it depends on has changed")

    def fixed(self, finding: Any) -> None:
        """A finding was mended in the project file."""
        edits = "; ".join(change.in_words() for change in finding.fixes)
        self.console.print(f"[yellow]mended[/] {finding.title} -> {edits}", soft_wrap=True)

    def _line(self, mark: str, step: str, text: str) -> None:
        self.console.print(f"{mark} {TITLES.get(step, step):<20} [dim]{text}[/]")


@contextmanager
def counting(
    title: str, silent: bool, console: Console | None = None
) -> Iterator[Callable[[int, float], None]]:
    """Show on a terminal how many rows are done, how many a second, and the time left.

    Args:
        title: what is done with the rows.
        silent: whether nothing is to be shown, as for machines.
        console: standard error if none is given.
    """
    console = console or Console(stderr=True, highlight=False)
    if silent or not console.is_terminal:
        yield lambda rows, share: None
        return
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        pace = Pace()

        def told(rows: int, share: float) -> None:
            pace.add(rows, share)
            view = Table.grid(padding=(0, 1))
            view.add_row(Text(title, style="bold"), bar(share), Text(pace.in_words(), "dim"))
            live.update(view)

        yield told


class Pace:
    """How fast rows are done, since the first was told of."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to count."""
        self.clock = clock
        self.begun = clock()
        self.rows = 0
        self.first: float | None = None  # share that was done before
        self.share = 0.0

    def add(self, rows: int, share: float) -> None:
        """Count rows, and learn which share of all is done."""
        self.first = share if self.first is None else self.first
        self.rows += rows
        self.share = share

    def in_words(self) -> str:
        """Rows done and rows a second, and the time left once that can be told.

        >>> pace = Pace(iter([0.0, 10.0]).__next__)
        >>> pace.add(0, 0.2), pace.add(5_000, 0.6)
        (None, None)
        >>> pace.in_words()
        '60 %, 500 rows/s, about 10.0 s left'
        """
        taken, gained = self.clock() - self.begun, self.share - (self.first or 0.0)
        if taken <= 0 or gained <= 0:
            return f"{100 * self.share:.0f} %"
        left = duration(taken * (1 - self.share) / gained)
        return f"{100 * self.share:.0f} %, {self.rows / taken:,.0f} rows/s, about {left} left"


def bar(share: float | None) -> ProgressBar:
    """A bar that is full at 1, and swings where the share is not known."""
    return ProgressBar(total=1, completed=share or 0, width=BAR, pulse=share is None)
