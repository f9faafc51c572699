"""The progress display of rows: a bar, rows per second, the time left."""

from __future__ import annotations

import io

from rich.console import Console

from fieldcraft.cli.progress import EtaEstimator, show_row_progress


def test_rows_a_second_and_the_time_left_are_shown() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    with show_row_progress("predict", False, console) as on_rows:
        on_rows(0, 0.25)
        on_rows(4_000, 0.5)
    assert "50 %" in stream.getvalue()
    assert "rows/s, about" in stream.getvalue()


def test_nothing_is_shown_with_json_or_without_a_terminal() -> None:
    for is_silent, is_terminal in ((True, True), (False, False)):
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=is_terminal)
        with show_row_progress("predict", is_silent, console) as on_rows:
            on_rows(10, 0.5)
        assert stream.getvalue() == ""


def test_rows_of_an_interrupted_run_do_not_count_for_the_speed() -> None:
    eta = EtaEstimator(iter([0.0, 2.0]).__next__)
    eta.update(0, 0.9)
    eta.update(300, 0.95)
    assert eta.format() == "95 %, 150 rows/s, about 2.0 s left"
