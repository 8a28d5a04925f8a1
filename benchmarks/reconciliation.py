"""What it costs to make two differing views equal: `python -m benchmarks.reconciliation`.

Two cores without a network between them; one hears, as by an ack, that the other's digest is another. Bytes are those
of both directions, without IP and UDP headers; the records that had to be sent are counted apart.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

from shoal.config import ClusterConfig
from shoal.swim.core import Swim
from shoal.swim.outputs import Datagram
from shoal.types import Address, NodeId, NodeInfo, Tags
from shoal.wire.messages import Alive, Compare, Gossip, Message, Ping
from shoal.wire.native import NativeDialect

__all__ = ["Cost", "compare", "main"]

_DIALECT = NativeDialect("shoal")
_CONFIG = ClusterConfig(sync_threshold=1, gossip_fanout=0, gossip_queue_limit=16)
_BEGIN = 1_700_000_000_000
_SIZES = (128, 1000, 10_000)
_DIFFERENCES = (0, 1, 10, 100)
_STRANGER = NodeId(bytes(16))
# Published or calculated for others: range-based reconciliation with 16 parts, lists of 32 and 12 bytes an entry; hash
# buckets of the best number.
_OTHERS = {
    (128, 1): (384, 222),
    (1000, 0): (16, 312),
    (1000, 1): (588, 620),
    (1000, 10): (2885, 1923),
    (10_000, 1): (824, 1960),
    (10_000, 10): (5212, 6161),
    (10_000, 100): (30_512, 19_194),
}


@dataclass(slots=True)
class Cost:
    """Of making two views equal."""

    comparisons: int = 0
    messages: int = 0
    overhead: int = 0
    """Bytes of datagrams without the records."""
    records: int = 0
    streamed: int = 0
    """Bytes of streams, both ways."""
    cpu_ms: float = 0.0
    """Of both sides."""


def _info(number: int, random: Random) -> NodeInfo:
    """Members that started 10 ms apart."""
    address = Address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 7946)
    return NodeInfo(f"node-{number}", NodeId.mint(_BEGIN + 10 * number, random), address, Tags())


class _Pair:
    def __init__(self, members: int, differing: int, how: str) -> None:
        random = Random(f"{members}/{differing}/{how}")
        infos = [_info(number, random) for number in range(members)]
        chosen = range(members - differing, members) if how == "newest" else random.sample(range(2, members), differing)
        differ = set(chosen)
        self.infos = infos[:2]
        self.cores = [Swim(_CONFIG, info, _DIALECT, Random(1), 0.0) for info in self.infos]
        for number, info in enumerate(infos):
            for side, core in enumerate(self.cores):
                is_other = number in differ and side == 0
                if number == side or (is_other and how != "changed"):
                    continue
                incarnation = int(number in differ and side == 1 and how == "changed")
                _hear(core, [Alive(info, incarnation)])
        for core in self.cores:
            _hear(core, [])

    def settle(self) -> Cost:
        """Compare until the views are equal."""
        cost, now = Cost(), 100.0
        one, other = self.cores
        begin = time.process_time()
        while one.digest != other.digest and cost.comparisons < 20:
            cost.comparisons += 1
            now += _CONFIG.sync_interval
            one.receive(_packet(Ping(1, other.digest, self.infos[1].id, self.infos[0].id)), self.infos[1].address, now)
            while moved := list(self._deliver(cost, now)):
                cost.messages += sum(moved)
        cost.cpu_ms = (time.process_time() - begin) * 1000
        return cost

    def _deliver(self, cost: Cost, now: float) -> Iterator[bool]:
        for side, core in enumerate(self.cores):
            peer, source = self.cores[1 - side], self.infos[side].address
            for output in core.outgoing():
                if isinstance(output, Datagram):
                    message, updates = _DIALECT.decode(output.data)
                    if isinstance(message, Compare):
                        records = sum(len(_DIALECT.encode_update(update)) for update in updates)
                        cost.records += records
                        cost.overhead += len(output.data) - records
                        peer.receive(output.data, source, now)
                        yield True
                else:
                    reply = peer.receive_stream(output.data, source, now)
                    assert reply is not None
                    cost.streamed += len(output.data) + len(reply)
                    core.stream_replied(output.token, reply, now)
                    yield False


def _packet(message: Message, updates: Iterable[Alive] = ()) -> bytes:
    return _DIALECT.attach(_DIALECT.encode(message), [_DIALECT.encode_update(update) for update in updates])


def _hear(core: Swim, updates: Iterable[Alive]) -> None:
    core.receive(_packet(Gossip(0, 0, _STRANGER), updates), Address("192.0.2.1", 1), 0.0)
    core.events()
    core.outgoing()


def compare(members: int, differing: int, how: str) -> Cost:
    """`how`: the one side lacks the `newest` members, or `scattered` ones, or has an older word of some (`changed`)."""
    return _Pair(members, differing, how).settle()


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print("n d how comparisons messages overhead-B records-B stream-B ranges-B buckets-B cpu-ms")
    for members in _SIZES:
        for differing in _DIFFERENCES:
            for how in ("newest", "scattered", "changed") if differing else ("equal",):
                cost = compare(members, differing, how)
                ranges, buckets = _OTHERS.get((members, differing), ("-", "-"))
                print(
                    f"{members} {differing} {how} {cost.comparisons} {cost.messages} {cost.overhead} {cost.records} "
                    f"{cost.streamed} {ranges} {buckets} {cost.cpu_ms:.1f}"
                )


if __name__ == "__main__":
    main()
