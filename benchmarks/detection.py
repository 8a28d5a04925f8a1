"""How long real nodes take to notice a death: one of many ends, again and again, side by side with kinship.

    python -m benchmarks.detection --nodes 100 --kills 30 --loss 0.01 --peers shoal,kinship

runs N nodes of each peer in a process and a network namespace of its own, over UDP and TCP on a loopback that loses
1 % of all packets. In turn, one node of each peer ends as if its process had been killed; when all others hold it dead
it starts again, and the next peer has its turn. All peers run all the time, so that a noisy minute hits all alike.

The death of a node that runs is false; each observer's counts. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import random
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from benchmarks import _peers
from benchmarks._peer_process import (
    Crash,
    Formed,
    PeerError,
    PeerProcess,
    in_own_network,
    own_network_refusal,
    running,
)
from benchmarks.steady import allow_many_sockets, interrupt, note
from shoal.bench.arguments import at_least, share

FORM_SECONDS = 180.0
CRASH_SECONDS = 90.0
RESTART_SECONDS = 90.0
SETTLE_SECONDS = 10.0


@dataclass(slots=True)
class Record:
    """What one peer has shown so far."""

    formed: Formed
    crashes: list[Crash] = field(default_factory=list)
    failure: str | None = None

    def quantiles(self, metric: str) -> tuple[float, float, float] | None:
        """Median, 99 % (nearest rank) and largest."""
        times = sorted(time for crash in self.crashes if (time := getattr(crash, metric)) is not None)
        if not times:
            return None
        return statistics.median(times), times[-(len(times) // 100) - 1], times[-1]

    @property
    def false_deaths(self) -> int:
        return max((crash.false_deaths for crash in self.crashes), default=0)


def one_turn(process: PeerProcess, record: Record) -> None:
    """End a node and start it again; a failure ends the peer's part."""
    time.sleep(random.random())  # at any moment of a probe's period
    try:
        record.crashes.append(process.crash(CRASH_SECONDS))
        process.restart(RESTART_SECONDS)
    except PeerError as error:
        record.failure = str(error)


def measure(peers: Sequence[_peers.Peer], nodes: int, kills: int, loss: float, lossy: bool) -> dict[str, Record]:
    """All peers at once, each in its turn; one that fails is left out from then on."""
    records: dict[str, Record] = {}
    with contextlib.ExitStack() as stack:
        processes: dict[str, PeerProcess] = {}
        for peer in peers:
            command = [*peer.command, "--nodes", str(nodes)]
            process = stack.enter_context(running(in_own_network(command, loss) if lossy else command))
            try:
                records[peer.name] = Record(process.wait_formed(FORM_SECONDS))
            except PeerError as error:
                note(f"{peer.name} failed: {error}")
                continue
            processes[peer.name] = process
        time.sleep(SETTLE_SECONDS)
        for number in range(1, kills + 1):
            for name, process in processes.items():
                if records[name].failure is None:
                    one_turn(process, records[name])
                    note(f"kill {number}/{kills}, {name}: {_last(records[name])}")
    return records


def _last(record: Record) -> str:
    if record.failure is not None:
        return f"failed: {record.failure}"
    last = record.crashes[-1]
    return f"first {_seconds(last.first_s)}, all {_seconds(last.all_know_s)}, false deaths {last.false_deaths}"


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f} s"


def table(records: dict[str, Record]) -> str:
    """A line for each measure, a column for each peer, in Markdown."""
    rows = [["", *(f"{name} {record.formed.version.removeprefix('v')}" for name, record in records.items())]]
    rows.append(["---"] * len(rows[0]))
    rows.append(["kills", *(str(len(record.crashes)) for record in records.values())])
    for label, metric in (("first detection", "first_s"), ("all know", "all_know_s")):
        for position, which in enumerate(("median", "99 %", "at most")):
            cells = (record.quantiles(metric) for record in records.values())
            rows.append([f"{label}, {which}", *("" if cell is None else _seconds(cell[position]) for cell in cells)])
    unknown = (sum(crash.all_know_s is None for crash in record.crashes) for record in records.values())
    rows.append(["not known to all within a minute", *map(str, unknown)])
    rows.append(["false deaths", *(str(record.false_deaths) for record in records.values())])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> int:
    """Run it; the exit code is 1 if a peer failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=at_least(3), default=100, metavar="N")
    parser.add_argument("--kills", type=at_least(1), default=30, metavar="K")
    parser.add_argument("--loss", type=share, default=0.01, metavar="SHARE", help="of all packets (0.01)")
    parser.add_argument("--peers", default="shoal,kinship", metavar="NAME,…", help=f"of {','.join(_peers.NAMES)}")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if platform.system() != "Linux":
        note("This benchmark needs network namespaces, which only Linux has.")
        return 1
    signal.signal(signal.SIGTERM, interrupt)
    allow_many_sockets()
    refusal = own_network_refusal(options.loss)
    if refusal is not None:
        note(f"{refusal}; nothing is lost, and all peers share the machine's loopback")
    peers = []
    for name in options.peers.split(","):
        try:
            peers.append(_peers.prepare(name, sys.executable))
        except _peers.PeerMissing as error:
            note(f"{name} skipped: {error}")
    records = measure(peers, options.nodes, options.kills, options.loss, lossy=refusal is None)
    loss = options.loss if refusal is None else 0.0
    if options.json:
        shown = {name: asdict(record) for name, record in records.items()}
        print(json.dumps({"nodes": options.nodes, "loss": loss, "peers": shown}, indent=2))
    else:
        print(f"{options.nodes} nodes, {loss:.0%} loss, {options.kills} kills each, in turn\n\n{table(records)}")
    return int(len(records) < len(options.peers.split(",")) or any(record.failure for record in records.values()))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted")
