"""What one turn of a quiet node costs its core, by how many members its view holds.

    python -m benchmarks.table_size --members 200,5000 --nodes 50

fills the views of some cores with so many members and lets each, over and over and one after the other, have its turn:
probe whoever is due, take the ack, answer a ping of another. No socket, no event loop, no other process:
what a real node costs beside this does not depend on the size of its view. More nodes than fit in the processor's
caches show what a view costs whose rows are not at hand.
"""

from __future__ import annotations

import argparse
import statistics
import time
from random import Random

from shoal.bench.arguments import at_least, counts
from shoal.config import ClusterConfig
from shoal.swim.core import Swim
from shoal.swim.outputs import Datagram
from shoal.types import Address, NodeId, NodeInfo, Tags
from shoal.wire.messages import Ack, Alive, Gossip, Ping
from shoal.wire.native import NativeDialect

ROUNDS = 7
PROBES = 4_000
"""Of all nodes together, in each round."""
BORN_MS = 1_700_000_000_000
QUIET = 600.0
"""Virtual seconds after which all news of the views has been sent as often as it is."""

DIALECT = NativeDialect("shoal")


def info(number: int) -> NodeInfo:
    address = Address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 7946)
    return NodeInfo(f"node-{number}", NodeId.mint(BORN_MS + number, Random(number)), address, Tags())


class QuietNode:
    """One core among members that always answer."""

    def __init__(self, number: int, members: list[NodeInfo]) -> None:
        config = ClusterConfig(gossip_fanout=0, retransmit_mult=1, gossip_queue_limit=16)
        self.core = Swim(config, members[number], NativeDialect("shoal"), Random(number), 0.0)
        self._random = Random(number)
        self._others = [member for member in members if member.id != members[number].id]
        for other in self._others:
            news = DIALECT.encode_update(Alive(other, 0))
            self.core.receive(DIALECT.attach(DIALECT.encode(Gossip(0, 0, other.id)), [news]), other.address, 0.0)
        self.core.start(0.0)
        self.core.events()
        while self.turn()[1] < QUIET:
            pass

    def turn(self) -> tuple[float, float]:
        """Play one probe, its ack, and a ping; returns the CPU seconds and the virtual time."""
        core, random = self.core, self._random
        now = core.next_deadline()
        assert now is not None
        begin = time.process_time()
        core.advance(now)
        outputs = core.outgoing()
        spent = time.process_time() - begin
        acks = [
            (DIALECT.encode(Ack(ping.seq, core.digest, ping.target)), output.address)
            for output in outputs
            if isinstance(output, Datagram) and isinstance(ping := DIALECT.decode(output.data)[0], Ping)
        ]
        sender = random.choice(self._others)
        question = DIALECT.encode(Ping(random.getrandbits(62), core.digest, sender.id, core.local.id))
        begin = time.process_time()
        for data, source in (*acks, (question, sender.address)):
            core.receive(data, source, now)
            core.outgoing()
            core.events()
            core.next_deadline()
        return spent + time.process_time() - begin, now


def measure(size: int, count: int) -> list[float]:
    """CPU microseconds of one node's turn, one value for each round."""
    members = [info(number) for number in range(size)]
    nodes = [QuietNode(number, members) for number in range(min(count, size))]
    return [sum(nodes[probe % len(nodes)].turn()[0] for probe in range(PROBES)) / PROBES * 1e6 for _ in range(ROUNDS)]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--members", type=counts(3), default=[200, 1000, 5000, 10_000], help="sizes of the views (200,1000,5000,10000)"
    )
    parser.add_argument("--nodes", type=at_least(1), default=50, help="cores that take turns (50)")
    options = parser.parse_args()
    print(f"{options.nodes} cores in turn, µs of a node's turn, median of {ROUNDS} rounds (least to most)")
    baseline = None
    for size in options.members:
        rounds = measure(size, options.nodes)
        median = statistics.median(rounds)
        baseline = baseline or median
        print(f"{size:>7} members  {median:6.1f}  ({min(rounds):.1f} to {max(rounds):.1f})  ×{median / baseline:.2f}")


if __name__ == "__main__":
    main()
