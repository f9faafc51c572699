"""What a person sees of rows that are done: a bar, rows a second, the time left."""

from __future__ import annotations

import io

from rich.console import Console

from fieldcraft.cli.watch import Pace, counting


def test_rows_a_second_and_the_time_left_are_shown() -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100)
    with counting("predict", False, console) as told:
        told(0, 0.25)
        told(4_000, 0.5)
    assert "50 %" in shown.getvalue()
    assert "rows/s, about" in shown.getvalue()


def test_machines_and_files_are_shown_nothing() -> None:
    for silent, terminal in ((True, True), (False, False)):
        shown = io.StringIO()
        console = Console(file=shown, force_terminal=terminal)
        with counting("predict", silent, console) as told:
            told(10, 0.5)
        assert shown.getvalue() == ""


def test_what_was_done_before_does_not_count_for_the_pace() -> None:
    pace = Pace(iter([0.0, 2.0]).__next__)
    pace.add(0, 0.9)
    pace.add(300, 0.95)
    assert pace.in_words() == "95 %, 150 rows/s, about 2.0 s left"
