"""How good the models are beside their peers', on real tables.

    python bench/tabular.py setup                 # the peers' environments, once
    nice python bench/tabular.py run              # hours; kill it when you like, run it again
    python bench/tabular.py report                # Markdown

Every method sees the same rows of the same splits and is measured on the same test rows. Results
go to ``bench/results/tabular.jsonl`` one by one; what is there already is not run again. The
methods are interleaved, so that a stopped run has compared them on the same tables. Run it on
an otherwise idle machine if the seconds are to mean something.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from contest import report, results, venvs
from contest.rounds import METHODS, QUICK, PeerEnvironments, play_round
from contest.tables import TABLES, BenchmarkTable

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "tabular.jsonl"
VENVS = HERE.parent / "build" / "peers"


def play_rounds(options: argparse.Namespace) -> None:
    """Play every round that is wanted and not in the file of results.

    Told to stop, it ends the round's process too; that round is then played anew next time.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    place = PeerEnvironments(options.venvs.resolve(), options.limit)
    for table in select_tables(options.tables):
        for seed in map(int, options.seeds.split(",")):
            for method in select_methods(options.methods):
                known = results.finished_rounds(
                    results.read_results(options.results), options.retry
                )
                if (table.name, seed, method) in known:
                    continue
                lines = play_round(table, seed, method, place)
                results.append_results(options.results, lines)
                for line in lines:
                    print(report.format_line(line), flush=True)


def select_tables(names: str) -> Sequence[BenchmarkTable]:
    """The tables that are named, in the order in which they stand."""
    known = {table.name: table for table in TABLES}
    return [known[name] for name in select_names(names, list(known), list(known))]


def select_methods(names: str) -> Sequence[str]:
    """The methods that are named; ``quick``: those that take minutes rather than hours."""
    return select_names(
        ",".join(QUICK) if names == "quick" else names, list(METHODS), list(METHODS)
    )


def select_names(names: str, known: Sequence[str], everything: Sequence[str]) -> Sequence[str]:
    """Names between commas, or all."""
    names_chosen = everything if names == "all" else names.split(",")
    unknown = [name for name in names_chosen if name not in known]
    if unknown:
        raise SystemExit(f"{', '.join(unknown)}: not known; use some of {', '.join(known)}, or all")
    return names_chosen


def main() -> None:
    """Set up, run or report."""
    summary, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    adding = commands.add_parser("setup", help="install the peers")
    adding.set_defaults(act=lambda options: venvs.create_environments(options.venvs.resolve()))
    running = commands.add_parser("run", help="play the rounds that are not played yet")
    running.set_defaults(act=play_rounds)
    running.add_argument("--tables", default="all", help="names between commas")
    running.add_argument("--methods", default="quick", help="names between commas, or all")
    running.add_argument("--seeds", default="0,1,2", help="numbers between commas")
    running.add_argument("--limit", type=float, default=7200, help="seconds that a round may take")
    running.add_argument("--retry", action="store_true", help="also rounds that failed before")
    report_parser = commands.add_parser("report", help="print the results as Markdown")
    report_parser.set_defaults(
        act=lambda options: print(report.render_report(results.read_results(options.results)))
    )
    for command in (adding, running):
        command.add_argument("--venvs", type=Path, default=VENVS, help="folder of environments")
    for command in (running, report_parser):
        command.add_argument("--results", type=Path, default=RESULTS, help="file of results")
    options = parser.parse_args()
    options.act(options)


if __name__ == "__main__":
    main()
