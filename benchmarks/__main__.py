"""Commands of the benchmarks."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import documents
from benchmarks.data import expand
from benchmarks.experiments import EXPERIMENTS
from benchmarks.runner import Experiment, Options, run
from benchmarks.store import RESULTS, Frames


def parser() -> argparse.ArgumentParser:
    """Make the parser of options."""
    found = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = found.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--results", type=Path, default=RESULTS, help="folder of CSV files and tables"
    )
    only = argparse.ArgumentParser(add_help=False)
    only.add_argument(
        "--only",
        nargs="+",
        action="append",
        default=[],
        help="rows with these values of a column, such as: --only estimator dtw tsf",
        metavar=("COLUMN", "VALUE"),
    )
    commands.add_parser("list", help="list experiments")
    command = commands.add_parser(
        "run",
        parents=[common, only],
        help="compute missing rows of the CSV file of an experiment, and its tables",
    )
    command.add_argument("name", choices=EXPERIMENTS, help="experiment", metavar="NAME")
    command.add_argument(
        "--sets",
        nargs="+",
        help="data sets; small selects the 19 small ones, large the other two",
        metavar="SET",
    )
    command.add_argument("--seeds", nargs="+", type=int, help="seeds", metavar="SEED")
    command.add_argument(
        "--data",
        default=os.environ.get("SKTEXT_VQ_DATA"),
        help="folder of data sets, as in sktext_vq.datasets.load; default: the "
        "variable SKTEXT_VQ_DATA, or the sets that come with sktime alone",
    )
    command.add_argument("--processes", type=int, help="number of processes")
    command.add_argument(
        "--set",
        nargs="+",
        default=[],
        dest="settings",
        help="settings of the experiment, see list",
        metavar="NAME=VALUE",
    )
    command = commands.add_parser(
        "report", parents=[common, only], help="write tables of CSV files"
    )
    command.add_argument(
        "names",
        nargs="*",
        help="experiments; default: all with results",
        metavar="NAME",
    )
    commands.add_parser(
        "documents", parents=[common], help="write the tables of README and docs"
    )
    return found


def options_of(experiment: Experiment, args: argparse.Namespace) -> Options:
    """Return options of a run, with the defaults of the experiment."""
    settings: dict[str, Any] = dict(experiment.settings)
    for text in args.settings:
        name, _, value = text.partition("=")
        if name not in settings:
            raise SystemExit(f"Unknown setting {name}. Available: {[*settings]}.")
        settings[name] = type(settings[name])(value)
    only = {column: values for column, *values in args.only}
    if unknown := set(only) - set(experiment.keys):
        raise SystemExit(f"Unknown columns {sorted(unknown)}: {experiment.keys}.")
    n_cores = os.cpu_count() or 1
    processes = args.processes or experiment.processes or n_cores
    return Options(
        sets=expand(args.sets or experiment.sets, args.data),
        seeds=args.seeds or experiment.seeds,
        processes=processes,
        n_threads=max(1, n_cores // processes),
        data=args.data,
        results=args.results,
        only=only,
        settings=settings,
    )


def report(names: Sequence[str], frames: Frames) -> None:
    """Print the tables of experiments, and write them beside the results."""
    for name in names:
        text = EXPERIMENTS[name].markdown(frames)
        (frames.folder / f"{name}.md").write_text(text, encoding="utf-8")
        print(text)


def shown_in(name: str) -> str:
    """Return the experiment whose page has the results of another one."""
    return next(
        other.name
        for other in EXPERIMENTS.values()
        if other.page and name in (other.name, *other.reads)
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command."""
    args = parser().parse_args(argv)
    if args.command == "list":
        for experiment in EXPERIMENTS.values():
            settings = "".join(f" {k}={v}" for k, v in experiment.settings.items())
            print(
                f"{experiment.name:14}{experiment.about}{settings and ';' + settings}"
            )
    elif args.command == "run":
        experiment = EXPERIMENTS[args.name]
        run(experiment, options_of(experiment, args))
        report([shown_in(args.name)], Frames(args.results))
    elif args.command == "report":
        if unknown := set(args.names) - set(EXPERIMENTS):
            raise SystemExit(f"Unknown experiments: {', '.join(sorted(unknown))}.")
        frames = Frames(args.results, {column: v for column, *v in args.only})
        found = [name for name in EXPERIMENTS if name in frames]
        report(sorted({shown_in(name) for name in args.names or found}), frames)
    else:
        documents.write(Frames(args.results))


if __name__ == "__main__":
    main()
