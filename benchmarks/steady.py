"""What a node costs, and how long it takes to notice a death, next to other implementations.

    python -m benchmarks.steady --nodes 50,200 --peers shoal,kinship,memberlist --measures cpu,wire

runs N nodes of each peer in one process over UDP on 127.0.0.1, one peer at a time, the rounds
interleaved so that a noisy minute does not hit one peer alone. Each run waits until every view is
complete, and then takes the measures that are asked for:

- ``formation``: seconds from the first node's start until every view is complete, and the CPU
  time that the process took until then, its own start included;
- ``cpu``: CPU time of the whole process at rest, user and system, from the kernel's CPU clock of the
  process, per node and second;
- ``wire``: datagrams at rest, sent and received, as the kernel counts them. Each peer process has a
  network namespace of its own, so that the same counters serve all peers and count nothing else. And
  bytes sent on loopback: with IP and UDP headers, and with TCP streams and their acknowledgements;
- ``memory``: resident memory, the runtime's own share included, divided by the nodes;
- ``detection``: one node ends as if its process had been killed; seconds until the first and until the
  last of the others holds it dead.

The LAN profiles of kinship and memberlist synchronise whole views every 30 s, and not before the
first 30 s are over. ``--settle 60 --seconds 60`` includes that; the default window, which is meant
for a quick comparison, does not.

All nodes of a peer share a process, so events that fall together share a wake-up and cost less than they would
alone. Nodes that joined in one burst may keep their timers in step for ever after; ``--spread 40`` joins them over
40 s instead, which takes that advantage away.

A peer that cannot run here is listed as skipped, with the reason; one that failed at a size is not tried at a larger
one. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from types import FrameType
from typing import NoReturn

from benchmarks import _peers
from benchmarks._peer_process import (
    Formed,
    PeerError,
    Reading,
    in_own_network,
    own_network_refusal,
    running,
)
from shoal.bench.arguments import at_least, counts, seconds

if sys.platform == "linux":
    import resource

# A member that gossip missed is learned by the next synchronisation of whole views, which memberlist does
# every 2 minutes at 200 nodes.
FORM_SECONDS = 300.0
DETECT_SECONDS = 90.0
BASELINE = "kinship"
MEASURES = ("formation", "cpu", "wire", "memory", "detection")


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one peer; None is what was not asked for, or did not happen."""

    formed_seconds: float
    formed_cpu_seconds: float | None = None
    cpu_ms: float | None = None
    datagrams_out: float | None = None
    datagrams_in: float | None = None
    bytes_out: float | None = None
    resident_kib: float | None = None
    first_know_seconds: float | None = None
    all_know_seconds: float | None = None


LABELS = {
    "formed_seconds": "all views complete, s",
    "formed_cpu_seconds": "CPU until then, s",
    "cpu_ms": "CPU, ms/node/s",
    "datagrams_out": "datagrams out /node/s",
    "datagrams_in": "datagrams in /node/s",
    "bytes_out": "bytes out /node/s",
    "resident_kib": "resident, KiB/node",
    "first_know_seconds": "death known to the first, s",
    "all_know_seconds": "death known to all, s",
}


@dataclass(frozen=True, slots=True)
class Result:
    """All rounds of one peer at one size; ``formed`` is what its last run said of itself."""

    nodes: int
    formed: Formed
    samples: Sequence[Sample]

    def values(self, metric: str) -> list[float]:
        values = (getattr(sample, metric) for sample in self.samples)
        return [value for value in values if value is not None]

    def median(self, metric: str) -> float | None:
        values = self.values(metric)
        return statistics.median(values) if values else None


@dataclass(frozen=True, slots=True)
class Problem:
    """A peer that was not, or not fully, measured."""

    peer: str
    reason: str
    nodes: int | None = None  # None: skipped, it cannot run here at all

    def __str__(self) -> str:
        if self.nodes is None:
            return f"{self.peer} skipped: {self.reason}"
        return f"{self.peer} failed at {self.nodes} nodes: {self.reason}"


@dataclass(frozen=True, slots=True)
class Plan:
    """How every run is measured."""

    rounds: int
    spread: float
    settle: float
    seconds: float
    own_network: bool
    measures: frozenset[str]
    form_seconds: float


def measure(peer: _peers.Peer, nodes: int, plan: Plan) -> tuple[Formed, Sample]:
    """Run ``peer`` once; raises :class:`PeerError`."""
    command = [*peer.command, "--nodes", str(nodes), "--spread", str(plan.spread)]
    with running(in_own_network(command) if plan.own_network else command) as process:
        formed = process.wait_formed(plan.form_seconds + plan.spread)
        sample = Sample(formed.seconds)
        if "formation" in plan.measures:
            sample = replace(sample, formed_cpu_seconds=process.read().cpu_seconds)
        if not plan.measures.isdisjoint({"cpu", "wire", "memory"}):
            time.sleep(plan.settle)
            before = process.read()
            time.sleep(plan.seconds)
            sample = per_node(sample, before, process.read(), nodes, plan.measures)
        if "detection" in plan.measures and peer.detects:
            crash = process.crash(DETECT_SECONDS)
            sample = replace(sample, first_know_seconds=crash.first_s, all_know_seconds=crash.all_know_s)
        return formed, sample


def per_node(sample: Sample, before: Reading, after: Reading, nodes: int, measures: frozenset[str]) -> Sample:
    """Add what was read at both ends of the window: rates per node and second, memory per node."""
    share = 1 / (nodes * (after.at - before.at))
    if "cpu" in measures:
        sample = replace(sample, cpu_ms=(after.cpu_seconds - before.cpu_seconds) * 1000 * share)
    if "wire" in measures:
        sample = replace(
            sample,
            datagrams_out=(after.datagrams_out - before.datagrams_out) * share,
            datagrams_in=(after.datagrams_in - before.datagrams_in) * share,
            bytes_out=(after.bytes_out - before.bytes_out) * share,
        )
    if "memory" in measures:
        sample = replace(sample, resident_kib=after.resident_kib / nodes)
    return sample


def compare(peers: Sequence[_peers.Peer], nodes: int, plan: Plan) -> tuple[list[Result], list[Problem]]:
    """Run every peer ``plan.rounds`` times in turn. One that fails is not tried again."""
    samples: dict[str, list[Sample]] = {peer.name: [] for peer in peers}
    formed: dict[str, Formed] = {}
    failed: dict[str, Problem] = {}
    for number in range(1, plan.rounds + 1):
        for peer in peers:
            if peer.name in failed:
                continue
            try:
                formed[peer.name], sample = measure(peer, nodes, plan)
            except PeerError as error:
                failed[peer.name] = Problem(peer.name, str(error), nodes)
                note(str(failed[peer.name]))
                continue
            samples[peer.name].append(sample)
            note(
                f"{nodes} nodes, round {number}/{plan.rounds}: {peer.name} complete in {sample.formed_seconds:.2f} s"
                + ("" if sample.cpu_ms is None else f", {sample.cpu_ms:.3f} ms/node/s")
                + ("" if sample.all_know_seconds is None else f", a death known in {sample.all_know_seconds:.2f} s")
            )
    results = [Result(nodes, formed[name], runs) for name, runs in samples.items() if runs]
    return results, list(failed.values())


def heading(nodes: int, plan: Plan) -> str:
    joined = f"joined over {plan.spread:g} s" if plan.spread else "joined at once"
    runs = f"median (min–max) of {plan.rounds} × {plan.seconds:g} s"
    return f"{nodes} nodes, {joined}: {runs}, ×ratio to {BASELINE}"


def table(results: Sequence[Result]) -> str:
    """One size as a table in Markdown: a metric a line, a peer a column."""
    baseline = next((r for r in results if r.formed.name == BASELINE), None)
    measured = [metric for metric in LABELS if any(result.values(metric) for result in results)]
    rows = [["", *map(_title, results)]]
    rows += ([LABELS[metric], *(_cell(r, metric, baseline) for r in results)] for metric in measured)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(map(str.ljust, row, widths))} |" for row in rows)


def _title(result: Result) -> str:
    formed = result.formed
    secrecy = "encrypted" if formed.encrypted else "plaintext"
    about = filter(None, (formed.profile, secrecy, formed.loop))
    return f"{formed.name} {formed.version.removeprefix('v')} ({', '.join(about)})"


def _cell(result: Result, metric: str, baseline: Result | None) -> str:
    values, median = result.values(metric), result.median(metric)
    if median is None:
        return ""
    text = _figure(median)
    if len(values) > 1:
        text += f" ({_figure(min(values))}–{_figure(max(values))})"
    if baseline not in (None, result) and (reference := baseline.median(metric)):
        text += f", ×{median / reference:.2f}"
    return text


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def document(results: Iterable[Result], problems: Iterable[Problem], plan: Plan) -> dict[str, object]:
    """Everything that was measured, for ``--json``."""
    return {
        "benchmark": "steady",
        "machine": {
            "system": platform.platform(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "plan": {**asdict(plan), "measures": sorted(plan.measures)},
        "results": [
            {
                "nodes": result.nodes,
                "peer": asdict(result.formed),
                "median": {field.name: result.median(field.name) for field in fields(Sample)},
                "samples": [asdict(sample) for sample in result.samples],
            }
            for result in results
        ],
        "problems": [asdict(problem) for problem in problems],
    }


def note(text: str) -> None:
    """Progress and remarks go to standard error, so that standard output is only the result."""
    print(text, file=sys.stderr, flush=True)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.steady",
        description="What a node costs, and how long it takes to notice a death, next to other implementations.",
    )
    parser.add_argument(
        "--nodes",
        type=counts(2),
        default=[50, 200],
        metavar="N,…",
        help="sizes to measure, each 2 or more (50,200)",
    )
    parser.add_argument(
        "--peers",
        type=_names,
        default=list(_peers.NAMES),
        metavar="NAME,…",
        help=f"any of {','.join(_peers.NAMES)} (all)",
    )
    parser.add_argument(
        "--measures",
        type=_measures,
        default=list(MEASURES),
        metavar="NAME,…",
        help=f"any of {','.join(MEASURES)} (all)",
    )
    parser.add_argument("--seconds", type=_window, default=20.0, help="length of the window (20)")
    parser.add_argument("--settle", type=seconds, default=5.0, help="pause before it (5)")
    parser.add_argument("--spread", type=seconds, default=0.0, help="seconds that the joins are spread over (0)")
    parser.add_argument("--rounds", type=at_least(1), default=3, help="runs of each peer (3)")
    parser.add_argument("--form-seconds", type=seconds, default=FORM_SECONDS, help="for views to be complete (300)")
    parser.add_argument("--json", action="store_true", help="print one JSON document, no tables")
    parser.add_argument(
        "--kinship-python",
        default=sys.executable,
        metavar="PATH",
        help="the interpreter that has kinship (this one)",
    )
    return parser.parse_args(arguments)


def _names(text: str) -> list[str]:
    return _some_of(_peers.NAMES, "peer", text)


def _measures(text: str) -> list[str]:
    return _some_of(MEASURES, "measure", text)


def _some_of(known: Sequence[str], what: str, text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(known):
        raise argparse.ArgumentTypeError(f"unknown {what} {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    return list(dict.fromkeys(names))


def _window(text: str) -> float:
    value = seconds(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"a window has 1 second or more, not {text}")
    return value


def prepare(names: Iterable[str], kinship_python: str) -> tuple[list[_peers.Peer], list[Problem]]:
    """Make every peer ready that can run here; the others come back as problems."""
    ready: list[_peers.Peer] = []
    skipped: list[Problem] = []
    for name in names:
        try:
            ready.append(_peers.prepare(name, kinship_python))
        except _peers.PeerMissing as error:
            skipped.append(Problem(name, str(error)))
            note(str(skipped[-1]))
    return ready, skipped


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit code is 1 if a peer that can run here failed."""
    options = parse(arguments)
    if platform.system() != "Linux":
        note("The steady-state benchmark reads /proc and so runs on Linux only.")
        return 1
    signal.signal(signal.SIGTERM, interrupt)
    allow_many_sockets()
    refusal = own_network_refusal()
    if refusal is not None:
        note(f"{refusal}; datagrams and bytes are those of the whole machine")
    plan = Plan(
        options.rounds,
        options.spread,
        options.settle,
        options.seconds,
        own_network=refusal is None,
        measures=frozenset(options.measures),
        form_seconds=options.form_seconds,
    )
    peers, problems = prepare(options.peers, options.kinship_python)
    results: list[Result] = []
    for nodes in sorted(options.nodes):
        measured, failed = compare(peers, nodes, plan)
        results += measured
        problems += failed
        peers = [peer for peer in peers if peer.name not in {problem.peer for problem in failed}]
        if measured and not options.json:
            print(f"\n{heading(nodes, plan)}\n{table(measured)}", flush=True)
    if options.json:
        print(json.dumps(document(results, problems, plan), indent=2))
    else:
        print("\n".join(["", *map(str, problems)]))
    return int(any(problem.nodes is not None for problem in problems))


def interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    """A handler of signals that lets the command end as by Ctrl-C."""
    raise KeyboardInterrupt


def allow_many_sockets() -> None:
    """Raise the soft limit of open files to the hard one, for the processes that this one starts."""
    # Children inherit it; a node holds several sockets, and the usual soft limit is 1,024.
    if sys.platform == "linux":
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted")
