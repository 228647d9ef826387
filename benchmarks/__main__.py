"""The command that runs the benchmarks: `python -m benchmarks [--quick] [NAME ...]`."""

import argparse
import asyncio
import json
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from benchmarks.report import Report, render, summarize

SUITES = (
    "gets",
    "deploys",
    "listing",
    "logs",
    "drain",
    "idle",
    "waiting",
    "overlap",
    "polling",
    "delay",
    "fleet",
    "stores",
    "importing",
)
"""Modules beside this one; each has a coroutine `run(*, quick)` that returns a Report."""


class Suite(Protocol):
    """A module of this package that measures one thing."""

    async def run(self, *, quick: bool) -> Report: ...


class Arguments(argparse.Namespace):
    """The command line."""

    names: list[str]
    quick: bool
    json: Path | None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(SUITES)}")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, only to check that everything runs"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to FILE")
    arguments = parser.parse_args(namespace=Arguments())
    if unknown := set(arguments.names) - set(SUITES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    os.environ["no_proxy"] = "127.0.0.1"  # for contenders that would use a proxy
    reports = asyncio.run(_run(arguments.names or SUITES, quick=arguments.quick))
    if arguments.json is not None:
        figures = [report.to_builtins() for report in reports]
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


async def _run(names: Sequence[str], *, quick: bool) -> list[Report]:
    reports = []
    for name in names:
        suite = cast("Suite", import_module(f"benchmarks.{name}"))
        report = await suite.run(quick=quick)
        reports.append(report)
        print(render(report), flush=True)
    goals = [goal for report in reports for goal in report.goals]
    print(summarize(goals))
    print(f"\n{sum(goal.reached for goal in goals)} of {len(goals)} goals reached.")
    return reports


if __name__ == "__main__":
    main()
