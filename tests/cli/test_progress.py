"""What a person sees of rows that are done: a bar, rows a second, the time left."""

from __future__ import annotations

import io

from rich.console import Console

from fieldcraft.cli.progress import EtaEstimator, show_row_progress


def test_rows_a_second_and_the_time_left_are_shown() -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100)
    with show_row_progress("predict", False, console) as on_rows:
        on_rows(0, 0.25)
        on_rows(4_000, 0.5)
    assert "50 %" in shown.getvalue()
    assert "rows/s, about" in shown.getvalue()


def test_machines_and_files_are_shown_nothing() -> None:
    for silent, terminal in ((True, True), (False, False)):
        shown = io.StringIO()
        console = Console(file=shown, force_terminal=terminal)
        with show_row_progress("predict", silent, console) as on_rows:
            on_rows(10, 0.5)
        assert shown.getvalue() == ""


def test_what_was_done_before_does_not_count_for_the_pace() -> None:
    pace = EtaEstimator(iter([0.0, 2.0]).__next__)
    pace.update(0, 0.9)
    pace.update(300, 0.95)
    assert pace.format() == "95 %, 150 rows/s, about 2.0 s left"
