"""The native decoder under fire and on the clock: `python -m benchmarks.decode [--core] [--json]`.

First 100,000 random and mutated datagrams, of which each must end as a message or as a `DecodeError`; with `--core`
they then go into a protocol core, whose tables must not grow beyond their bounds, and not at all by what was rejected.
Then the time to encode and decode what nodes send most.
"""

import argparse
import json
import sys
import timeit
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from random import Random
from time import perf_counter

from shoal.bench.arguments import at_least
from shoal.config import ClusterConfig
from shoal.snapshot import Snapshot
from shoal.state.precedence import pack
from shoal.swim.core import Swim
from shoal.types import Address, MemberState, NodeId, NodeInfo, Tags
from shoal.wire.dialect import DecodeError, Flaw
from shoal.wire.messages import Ack, Alive, Message, Ping, Suspect, SyncRequest
from shoal.wire.native import NativeDialect
from tests.fuzz.decode import datagrams

CLUSTER = "shoal"
DIALECT = NativeDialect(CLUSTER)
REPEATS = 5
SECONDS_PER_REPEAT = 0.2


@dataclass(frozen=True, slots=True)
class Survival:
    datagrams: int
    megabytes: float
    seconds: float
    flaws: dict[str, int]


@dataclass(frozen=True, slots=True)
class CoreSurvival:
    seconds: float
    rejected: int
    members: int
    bound: int


@dataclass(frozen=True, slots=True)
class Timing:
    what: str
    size: int
    encode_us: float
    decode_us: float


# Under fire


def survive(batch: Sequence[bytes]) -> Survival:
    """Decode all; whatever is no `DecodeError` ends the benchmark."""
    flaws: Counter[str] = Counter()
    begin = perf_counter()
    for data in batch:
        try:
            DIALECT.decode(data)
        except DecodeError as error:
            flaws[error.flaw] += 1
    seconds = perf_counter() - begin
    flaws["none"] = len(batch) - flaws.total()
    return Survival(len(batch), sum(map(len, batch)) / 1e6, seconds, dict(flaws.most_common()))


def survive_in_core(batch: Sequence[bytes], seed: int) -> CoreSurvival:
    """Feed all to one core, a millisecond apart, and watch its view."""
    config = ClusterConfig(cluster=CLUSTER, max_members=64, max_tombstones=64, gossip_queue_limit=64)
    bound = config.max_members + config.max_tombstones
    source = Address("192.0.2.99", 7946)
    core = Swim(config, info(0), DIALECT, Random(seed), 0.0)
    core.start(0.0)
    begin = perf_counter()
    for tick, data in enumerate(batch):
        now = tick / 1000
        core.advance(now)
        before = core.digest, _rejections(core)
        core.receive(data, source, now)
        core.outgoing()
        core.events()
        if _rejections(core) > before[1]:
            assert core.digest == before[0], f"a rejected datagram changed the view: {data.hex()}"
        assert len(core.members()) <= bound, f"the table outgrew its bound of {bound}: {data.hex()}"
    return CoreSurvival(perf_counter() - begin, _rejections(core), len(core.members()), bound)


def _rejections(core: Swim) -> int:
    return sum(core.stats.dropped.get(flaw, 0) for flaw in Flaw)


# On the clock


def node_id(number: int) -> NodeId:
    return NodeId.mint(1_760_000_000_000 + number, Random(number))


def info(number: int) -> NodeInfo:
    tags = Tags({"role": "worker", "model": "llama-70b", "zone": f"eu-{number % 3}"})
    address = Address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 7946)
    return NodeInfo(f"gpu-{number}", node_id(number), address, tags)


def sync(members: int) -> SyncRequest:
    beliefs = array("Q", [pack(number % 5, MemberState.ALIVE) for number in range(members)])
    ages = array("d", map(float, range(members)))
    rows = Snapshot(beliefs, ages, [DIALECT.records.pack(info(number)) for number in range(members)])
    return SyncRequest(1, 2**63, node_id(0), False, [], rows)


def timings() -> list[Timing]:
    ping = Ping(1, 2**63, node_id(0), node_id(1))
    suspects = [DIALECT.encode_update(Suspect(node_id(n), n, node_id(n + 1))) for n in range(6)]
    alives = [DIALECT.encode_update(Alive(info(n), n)) for n in range(6)]
    return [
        timing("ping", ping),
        timing("ack", Ack(1, 2**63, node_id(0))),
        timing("ping + 6 suspect", ping, suspects),
        timing("ping + 6 alive", ping, alives),
        timing("sync of 1,000", sync(1_000)),
        timing("sync of 10,000", sync(10_000)),
    ]


def timing(what: str, message: Message, updates: Sequence[bytes] = ()) -> Timing:
    """Updates are encoded once and sent often, so encoding a packet means to encode its message and attach them."""

    def encode() -> bytes:
        packet = DIALECT.encode(message)
        return DIALECT.attach(packet, updates) if updates else packet

    data = encode()
    return Timing(what, len(data), _best_us(encode), _best_us(lambda: DIALECT.decode(data)))


def _best_us(call: Callable[[], object]) -> float:
    timer = timeit.Timer(call)
    rounds, taken = timer.autorange()
    rounds = max(1, round(rounds * SECONDS_PER_REPEAT / taken))
    return min(timer.repeat(REPEATS, rounds)) / rounds * 1e6


# Report


def report(survival: Survival, core: CoreSurvival | None, measured: Sequence[Timing]) -> None:
    rate = survival.datagrams / survival.seconds
    print(f"{survival.datagrams:,} datagrams, {survival.megabytes:.1f} MB: none escaped, {rate:,.0f} per second")
    for flaw, count in survival.flaws.items():
        print(f"  {flaw:<18}{count:>9,}")
    if core is not None:
        print(f"  in a core: {core.rejected:,} rejected, {core.members} members of at most {core.bound}")
    print(f"\n  {'':<18}{'bytes':>9}{'encode µs':>12}{'decode µs':>12}")
    for row in measured:
        print(f"  {row.what:<18}{row.size:>9,}{row.encode_us:>12,.2f}{row.decode_us:>12,.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decode", description=__doc__)
    parser.add_argument("--datagrams", type=at_least(1), default=100_000, help="how many to decode (default: 100000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same datagrams (default: 1)")
    parser.add_argument("--core", action="store_true", help="feed them to a protocol core as well")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    batch = list(islice(datagrams(Random(arguments.seed)), arguments.datagrams))
    survival = survive(batch)
    core = survive_in_core(batch, arguments.seed) if arguments.core else None
    measured = timings()
    if arguments.json:
        results = {
            "survival": asdict(survival),
            "core": asdict(core) if core else None,
            "timings": [asdict(row) for row in measured],
        }
        json.dump(results, sys.stdout, indent=2)
        print()
    else:
        report(survival, core, measured)


if __name__ == "__main__":
    main()
