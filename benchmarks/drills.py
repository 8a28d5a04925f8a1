"""The disasters of docs/lessons.md in the simulator, over many seeds: `python -m benchmarks.drills [--seeds A..B]`.

Each drill is a preset on 12 to 20 nodes, as the seed says, on a network that loses 1 % of all packets. Ends with 1 if
any seed broke an invariant, did not agree in time, or held a member dead that was well and could be reached.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from shoal.bench.arguments import at_least, seeds
from shoal.sim.presets import preset
from shoal.sim.runner import RunResult, Trial, run_seed, run_seeds
from shoal.sim.scenario import Scenario
from shoal.sim.summary import Quantiles, Summary
from shoal.sim.workers import Workers

__all__ = ["DRILLS", "Drill", "Report", "run"]

_LOSS: Final = 0.01
_LEAST_NODES: Final = 12
_SIZES: Final = 9
_TELL_EVERY: Final = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Drill:
    """A preset to be played over many seeds; a recipe for `shoal.sim.runner`."""

    preset: str
    parameters: Mapping[str, float] = field(default_factory=dict)
    check_every: float = 1.0
    """Virtual seconds between two checks of the invariants."""

    @property
    def name(self) -> str:
        """The preset, with what is set of it."""
        return " ".join([self.preset, *(f"{name}={value:g}" for name, value in self.parameters.items())])

    def nodes(self, seed: int) -> int:
        """How many there are for a seed."""
        return _LEAST_NODES + seed % _SIZES

    def scenario(self, seed: int, pace: float) -> Scenario:
        """What is played for a seed."""
        return preset(self.preset).scenario(seed, self.nodes(seed), pace, **self.parameters)

    def trial(self) -> Trial:
        """How it is played."""
        return Trial(self, loss=_LOSS, check_every=self.check_every)

    def command(self, seed: int) -> str:
        """The command that plays one seed again."""
        words = ["shoal", "simulate", "--scenario", self.preset, "--seed", str(seed), "--nodes", str(self.nodes(seed))]
        words += ["--loss", str(_LOSS)]
        for name, value in self.parameters.items():
            words += ["--param", f"{name}={value:g}"]
        return shlex.join(words)


DRILLS: Final = (
    Drill("partition"),
    Drill("partition", {"share": 0.25}),
    Drill("power-cut"),
    Drill("rolling-restart", check_every=0.1),
    Drill("rack-loss"),
    Drill("bootstrap"),
)
"""What is played."""


@dataclass(frozen=True, slots=True)
class Report:
    """How one drill went over all seeds."""

    drill: str
    seeds: int
    agreement_s: Quantiles | None
    """Virtual seconds from the last fault until all views were equal and right."""
    deaths_of_well: int
    """Members told dead that were well and could be reached, each observer's word counted."""
    violated: tuple[str, ...]
    """Of the seeds that went wrong: what, and the command that plays one again."""
    node_hours: float
    seconds: float
    """How long it took."""


def run(drill: Drill, seeds: range, jobs: int = 1) -> Report:
    """Play a drill for each seed, in this process if there is one job."""
    begin = time.monotonic()
    results: list[RunResult] = []
    for result in _play(drill, seeds, jobs):
        # Of a run that went well all but the numbers would only take memory.
        results.append(replace(result, outages=(), timeline=()))
        _tell(drill, len(results), len(seeds), begin)
    summary = Summary.of(results)
    return Report(
        drill=drill.name,
        seeds=len(results),
        agreement_s=summary.agreement_s,
        deaths_of_well=summary.false_deaths,
        violated=tuple(_problems(drill, results)),
        node_hours=round(summary.node_hours, 1),
        seconds=round(time.monotonic() - begin, 1),
    )


def _play(drill: Drill, seeds: range, jobs: int) -> Iterator[RunResult]:
    if jobs == 1:
        for seed in seeds:
            yield run_seed(drill.trial(), seed)
        return
    workers = Workers(jobs)
    try:
        yield from run_seeds(drill.trial(), seeds, workers, at_once=2 * jobs)
    finally:
        workers.terminate()


_told_at = time.monotonic()


def _tell(drill: Drill, done: int, of: int, begin: float) -> None:
    global _told_at  # noqa: PLW0603 - one line a minute, whatever is played
    now = time.monotonic()
    if now - _told_at >= _TELL_EVERY:
        _told_at = now
        print(f"{drill.name}: {done} of {of} seeds in {now - begin:.0f} s", file=sys.stderr, flush=True)


def _problems(drill: Drill, results: Sequence[RunResult]) -> Iterator[str]:
    for result in sorted(results, key=lambda result: result.seed):
        wrong = list(result.violations)
        if result.verdicts.false_deaths:
            wrong.append(f"{result.verdicts.false_deaths} deaths of members that were well")
        if wrong:
            yield f"{drill.name}, seed {result.seed}: {'; '.join(wrong)}\n  again: {drill.command(result.seed)}"


def _row(report: Report) -> str:
    times = report.agreement_s
    agreed = "never" if times is None else f"{times.p50:.1f} / {times.p99:.1f} / {times.max:.1f}"
    return (
        f"{report.drill:24} {report.seeds:6} {agreed:>20} {report.deaths_of_well:14} {len(report.violated):8} "
        f"{report.node_hours:10} {report.seconds:8}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Play all and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=seeds, default=range(1000), metavar="N|FIRST..LAST", help="[default: 1000]")
    parser.add_argument("--jobs", type=at_least(1), default=1, help="Processes.  [default: 1]")
    parser.add_argument("--only", metavar="PRESET", help="Play the drills of this preset alone.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    drills = [drill for drill in DRILLS if options.only in (None, drill.preset)]
    if not drills:
        parser.error(f"--only {options.only}: the drills are {', '.join(dict.fromkeys(one.preset for one in DRILLS))}")
    if not options.json:
        print(
            f"{'drill':24} {'seeds':>6} {'agree: p50/p99/max':>20} {'deaths of well':>14} {'violated':>8} "
            f"{'node hours':>10} {'seconds':>8}"
        )
    reports = []
    for drill in drills:
        reports.append(report := run(drill, options.seeds, options.jobs))
        if not options.json:
            print(_row(report), flush=True)
    if options.json:
        print(json.dumps([asdict(report) for report in reports]))
    problems = [problem for report in reports for problem in report.violated]
    if problems:
        print("\n" + "\n".join(problems), file=sys.stderr)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
