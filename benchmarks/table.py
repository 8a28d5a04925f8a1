"""The member table: what a member takes and what the table's work costs: `python -m benchmarks.table [--json]`.

Memory is measured with tracemalloc around the making of a table, and summed up from its parts. Times are CPU time of
this process, the best of several repeats: on a busy machine they are upper bounds.
"""

import argparse
import gc
import json
import sys
import time
import tracemalloc
from array import array
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from random import Random

from shoal.bench.arguments import at_least
from shoal.config import ClusterConfig
from shoal.snapshot import Snapshot
from shoal.state.precedence import pack
from shoal.state.slots import array_of
from shoal.state.table import MemberTable
from shoal.swim.core import Swim
from shoal.types import Address, MemberState, NodeId, NodeInfo, Tags
from shoal.wire.native import NativeDialect

DIALECT = NativeDialect("shoal")
RECORDS = DIALECT.records
ALIVE = pack(0, MemberState.ALIVE)
REPEATS = 9


@dataclass(frozen=True, slots=True)
class Memory:
    members: int
    record_bytes: int
    """One record as it is written."""
    protocol: float
    """Bytes a member of belief, time, ring, probe order, index by id, reference to the record, and the id in it."""
    shared: float
    """Bytes a member where other nodes of the process have the records already."""
    total: float
    """Bytes a member with everything."""


@dataclass(frozen=True, slots=True)
class Timing:
    what: str
    microseconds: float
    per: str


def infos(count: int) -> list[NodeInfo]:
    """Members with short names, IPv4 addresses and three small tags."""
    random = Random(1)
    return [
        NodeInfo(
            f"worker-{number:05d}",
            NodeId.mint(1_700_000_000_000 + number, random),
            Address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 7946),
            Tags(role="worker", zone=f"z{number % 3}", gpu="h100"),
        )
        for number in range(count)
    ]


def snapshot(records: Sequence[bytes]) -> Snapshot:
    """Of these very objects."""
    return Snapshot(array("Q", [ALIVE]) * len(records), array("d", [60.0]) * len(records), list(records))


def arrived(records: Sequence[bytes]) -> Snapshot:
    """As a dialect makes it of what came over the network: every record is a new object."""
    return snapshot([bytes(bytearray(record)) for record in records])


def filled(view: Snapshot) -> MemberTable:
    """A table with the members of a view."""
    table = MemberTable(b"shoal", RECORDS)
    table.add_all(table.compare(view, room=len(view)).new, 0.0)
    return table


def memory(members: int) -> Memory:
    """What tracemalloc sees of a table, once with its records and once without them."""
    records = list(map(RECORDS.pack, infos(members)))
    alone, table = traced(lambda: filled(arrived(records)))
    filled(arrived(records))  # From here on there is a pool, and the records are in it.
    shared, _ = traced(lambda: filled(arrived(records)))
    order = array_of(range(members)).itemsize
    by_name_and_address = table._by_name.size + table._by_address.size
    protocol = (table.size - by_name_and_address) / members + NodeId.SIZE + order
    return Memory(members, len(records[0]), protocol, shared / members + order, alone / members + order)


def traced(make: Callable[[], MemberTable]) -> tuple[int, MemberTable]:
    """A table, and the bytes that are held for it."""
    gc.collect()
    tracemalloc.start()
    table = make()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size, table


def best(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """CPU seconds."""
    found = []
    for _ in range(repeats):
        gc.collect()
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def timings(members: int) -> list[Timing]:
    everybody = infos(members)
    records = list(map(RECORDS.pack, everybody))
    random = Random(2)
    ids = [NodeId(bytes(bytearray(info.id))) for info in random.sample(everybody, members)]
    table = filled(arrived(records))
    slots = random.sample(range(members), members)
    plain = {info.id: slot for slot, info in enumerate(everybody)}

    def change(beliefs: Sequence[int]) -> None:
        for slot in slots:
            for belief in beliefs:
                table.set_belief(slot, belief, 1.0)

    def ask() -> None:
        table.members_with({"zone": "z1"})

    each: dict[str, Callable[[], object]] = {
        "look up an id": lambda: [table.slot_of(id) for id in ids],
        "look up an id in a dict": lambda: [plain.get(id) for id in ids],
        "address of a random member": lambda: [table.address(slot) for slot in slots],
        "address of one of 256": lambda: [table.address(slot & 255) for slot in slots],
        "pick 3 at random": lambda: [table.sample(random, 3, ids[:1]) for _ in slots],
        "change a belief": lambda: change([pack(1, MemberState.ALIVE)]),
        "die and come back": lambda: change([pack(1, MemberState.DEAD), pack(2, MemberState.ALIVE)]),
    }
    found = [Timing(what, best(work) / members * 1e6, "call") for what, work in each.items()]
    rows = f"{members} rows"
    for what, known in (("merge a view into an empty table", 0), ("merge a view that is known", members)):
        found.append(Timing(what, merge_time(records, known) * 1e6, rows))
    found.append(Timing("make a view of all rows", best(lambda: table.snapshot(2.0)) * 1e6, rows))
    found.append(Timing("read all members for the first time", best(table.members, 1) * 1e6, rows))
    found.append(Timing("ask for a tag for the first time", best(ask, 1) * 1e6, rows))
    table.set_belief(0, pack(3, MemberState.ALIVE), 2.0)
    found.append(Timing("read all members after one change", best(table.members, 1) * 1e6, rows))
    found.append(Timing("ask for the tag after one change", best(ask, 1) * 1e6, rows))
    return found


def merge_time(records: Sequence[bytes], known: int) -> float:
    """Of `Membership.merge` in a node that knows so many of the members; nobody listens to its events."""
    found = []
    for _ in range(REPEATS):
        own = NodeInfo("me", NodeId.mint(1, Random(3)), Address("192.0.2.1", 1), Tags())
        core = Swim(ClusterConfig(), own, DIALECT, Random(1), 0.0)
        core.is_heard = lambda: False
        membership = core._membership
        membership.merge(arrived(records[:known]), own.id, 0.0, news_age=10.0)
        view = arrived(records)
        gc.collect()
        start = time.process_time()
        membership.merge(view, own.id, 1.0, news_age=10.0)
        found.append(time.process_time() - start)
        assert len(core.members()) == len(records) + 1
    return min(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=at_least(1), default=10_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sizes, times = memory(options.members), timings(options.members)
    if options.json:
        json.dump({"memory": asdict(sizes), "timings": [asdict(timing) for timing in times]}, sys.stdout, indent=2)
        return 0
    print(f"{sizes.members} members, records of {sizes.record_bytes} bytes; bytes a member:")
    print(f"  protocol {sizes.protocol:.1f}   with shared records {sizes.shared:.1f}   all told {sizes.total:.1f}")
    for timing in times:
        print(f"{timing.what:40} {timing.microseconds:10.2f} µs / {timing.per}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
