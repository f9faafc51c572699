"""Model quality compared with other libraries on real tables.

    python bench/tabular.py setup                 # create the peers' environments, once
    nice python bench/tabular.py run              # takes hours; can be stopped and resumed
    python bench/tabular.py report                # Markdown

Every method gets the same rows of the same splits and is evaluated on the same test rows. Results
are appended to ``bench/results/tabular.jsonl``; rounds with a result are not repeated. The methods
are interleaved, so that a stopped run has compared them on the same tables. Run it on an otherwise
idle machine for meaningful times.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from contest import report, results, venvs
from contest.rounds import METHODS, QUICK, PeerEnvironments, run_round
from contest.tables import TABLES, BenchmarkTable

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "tabular.jsonl"
VENVS = HERE.parent / "build" / "peers"


def run_rounds(options: argparse.Namespace) -> None:
    """Run every selected round that is not in the results file.

    When it is stopped, it also stops the process of the round, which is repeated next time.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    environments = PeerEnvironments(options.venvs.resolve(), options.limit)
    for table in select_tables(options.tables):
        for seed in map(int, options.seeds.split(",")):
            for method in select_methods(options.methods):
                finished = results.finished_rounds(
                    results.read_results(options.results), options.retry
                )
                if (table.name, seed, method) in finished:
                    continue
                lines = run_round(table, seed, method, environments)
                results.append_results(options.results, lines)
                for line in lines:
                    print(report.format_line(line), flush=True)


def select_tables(names: str) -> Sequence[BenchmarkTable]:
    """Return the tables of these names."""
    known = {table.name: table for table in TABLES}
    return [known[name] for name in select_names(names, list(known), list(known))]


def select_methods(names: str) -> Sequence[str]:
    """Return the methods of these names; ``quick`` means those that take minutes, not hours."""
    return select_names(
        ",".join(QUICK) if names == "quick" else names, list(METHODS), list(METHODS)
    )


def select_names(names: str, known: Sequence[str], everything: Sequence[str]) -> Sequence[str]:
    """Return comma-separated names, or all."""
    names_chosen = everything if names == "all" else names.split(",")
    unknown = [name for name in names_chosen if name not in known]
    if unknown:
        raise SystemExit(f"{', '.join(unknown)}: unknown; use some of {', '.join(known)}, or all")
    return names_chosen


def main() -> None:
    """Set up, run or report."""
    summary, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    setup_parser = commands.add_parser("setup", help="install the peers")
    setup_parser.set_defaults(
        act=lambda options: venvs.create_environments(options.venvs.resolve())
    )
    run_parser = commands.add_parser("run", help="run the rounds without a result")
    run_parser.set_defaults(act=run_rounds)
    run_parser.add_argument("--tables", default="all", help="comma-separated names")
    run_parser.add_argument("--methods", default="quick", help="comma-separated names, or all")
    run_parser.add_argument("--seeds", default="0,1,2", help="comma-separated numbers")
    run_parser.add_argument(
        "--limit", type=float, default=7200, help="time limit of a round in seconds"
    )
    run_parser.add_argument("--retry", action="store_true", help="also repeat failed rounds")
    report_parser = commands.add_parser("report", help="print the results as Markdown")
    report_parser.set_defaults(
        act=lambda options: print(report.render_report(results.read_results(options.results)))
    )
    for command in (setup_parser, run_parser):
        command.add_argument("--venvs", type=Path, default=VENVS, help="folder of environments")
    for command in (run_parser, report_parser):
        command.add_argument("--results", type=Path, default=RESULTS, help="results file")
    options = parser.parse_args()
    options.act(options)


if __name__ == "__main__":
    main()
