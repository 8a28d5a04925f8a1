"""What identities cost: `python -m benchmarks.identity [--json]`.

Microseconds to sign an own record, to check another's for the first time and again, and for a core to take in gossip
with the join of a member that is new and with one that it knows, and with a death and a copy of that; each with
identities and without. CPU time, the best of many repeats.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from random import Random

from shoal.config import ClusterConfig
from shoal.swim.core import Swim
from shoal.swim.trust import Credulous, Trust
from shoal.types import Address, NodeId, NodeInfo, Tags
from shoal.wire.identity import SignedIdentity
from shoal.wire.identity_keys import IdentityKey
from shoal.wire.messages import Alive, Dead, Gossip, Update, Witness
from shoal.wire.native import NativeDialect

CLUSTER = "shoal"
BATCH = 200
REPEATS = 20
DIALECT = NativeDialect(CLUSTER)
SETTLED = 20.0
"""Seconds after which a core takes the word of members that came at 0."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Microseconds, and bytes of an alive update and of a dead one."""

    sign_us: float
    first_check_us: float
    further_check_us: float
    join_signed_us: float
    join_unsigned_us: float
    copy_signed_us: float
    copy_unsigned_us: float
    sign_accusation_us: float
    death_signed_us: float
    death_unsigned_us: float
    death_copy_signed_us: float
    death_copy_unsigned_us: float
    bytes_signed: int
    bytes_unsigned: int
    death_bytes_signed: int
    death_bytes_unsigned: int


def info(number: int) -> NodeInfo:
    id = NodeId.mint(1_700_000_000_000 + number, Random(number))
    return NodeInfo(f"node-{number}", id, Address(f"10.0.{number >> 8}.{number & 255}", 7946), Tags({"zone": "a"}))


def identity(number: int) -> SignedIdentity:
    return SignedIdentity(IdentityKey(number.to_bytes(IdentityKey.SIZE)), CLUSTER)


def best(prepare: Callable[[], Callable[[], object]], count: int = BATCH) -> float:
    """Microseconds for one of the `count` steps that what `prepare` makes takes."""
    times = []
    for _ in range(REPEATS):
        run = prepare()
        begun = time.process_time()
        run()
        times.append(time.process_time() - begun)
    return round(min(times) / count * 1e6, 2)


def measure() -> Costs:
    plain = [info(number) for number in range(1, BATCH + 1)]
    signed = [identity(number).sign(each, 0) for number, each in enumerate(plain, 1)]

    def check(times: int) -> Callable[[], Callable[[], object]]:
        def prepare() -> Callable[[], object]:
            mine = identity(999)
            for _ in range(times):
                _check_all(mine, signed)
            return lambda: _check_all(mine, signed)

        return prepare

    def hear(infos: Sequence[NodeInfo], trust: Callable[[], Trust], times: int) -> Callable[[], Callable[[], object]]:
        packets = [_packet(Alive(each, 0)) for each in infos]

        def prepare() -> Callable[[], object]:
            core = Swim(ClusterConfig(), info(9999), DIALECT, Random(1), 0.0, trust())
            for _ in range(times):
                _hear_all(core, packets)
            return lambda: _hear_all(core, packets)

        return prepare

    def die(infos: Sequence[NodeInfo], trust: Callable[[], Trust], times: int) -> Callable[[], Callable[[], object]]:
        joins, deaths = [_packet(Alive(each, 0)) for each in infos], list(map(_packet, _deaths(infos)))

        def prepare() -> Callable[[], object]:
            core = Swim(ClusterConfig(), info(9999), DIALECT, Random(1), 0.0, trust())
            _hear_all(core, joins)
            for _ in range(times):
                _hear_all(core, deaths, SETTLED)
            return lambda: _hear_all(core, deaths, SETTLED)

        return prepare

    mine = identity(999)
    return Costs(
        sign_us=best(lambda: lambda: [mine.sign(each, 7) for each in plain]),
        first_check_us=best(check(0)),
        further_check_us=best(check(1)),
        join_signed_us=best(hear(signed, lambda: identity(999), 0)),
        join_unsigned_us=best(hear(plain, Credulous, 0)),
        copy_signed_us=best(hear(signed, lambda: identity(999), 1)),
        copy_unsigned_us=best(hear(plain, Credulous, 1)),
        sign_accusation_us=best(lambda: lambda: [mine.sign_accusation(each.id, 7, plain[0].id) for each in plain]),
        death_signed_us=best(die(signed, lambda: identity(999), 0)),
        death_unsigned_us=best(die(plain, Credulous, 0)),
        death_copy_signed_us=best(die(signed, lambda: identity(999), 1)),
        death_copy_unsigned_us=best(die(plain, Credulous, 1)),
        bytes_signed=len(DIALECT.encode_update(Alive(signed[0], 0))),
        bytes_unsigned=len(DIALECT.encode_update(Alive(replace(signed[0], proof=b""), 0))),
        death_bytes_signed=len(DIALECT.encode_update(_deaths(signed)[0])),
        death_bytes_unsigned=len(DIALECT.encode_update(_deaths(plain)[0])),
    )


def _check_all(mine: SignedIdentity, infos: Sequence[NodeInfo]) -> None:
    for each in infos:
        assert mine.check(each, 0, None) is None


def _deaths(infos: Sequence[NodeInfo]) -> list[Dead]:
    """A death of each, signed by the next two if they sign."""
    deaths = []
    for number, each in enumerate(infos, 1):
        signers = [number % BATCH + 1, (number + 1) % BATCH + 1] if each.proof else []
        witnesses = tuple(
            Witness(infos[by - 1].id, identity(by).sign_accusation(each.id, 0, infos[by - 1].id)) for by in signers
        )
        deaths.append(Dead(each.id, 0, infos[number % BATCH].id, witnesses))
    return deaths


def _packet(update: Update) -> bytes:
    return DIALECT.attach(DIALECT.encode(Gossip(0, 0, info(5000).id)), [DIALECT.encode_update(update)])


def _hear_all(core: Swim, packets: Sequence[bytes], now: float = 0.0) -> None:
    for packet in packets:
        core.receive(packet, Address("10.9.9.9", 7946), now)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    wants_json = parser.parse_args().json
    costs = asdict(measure())
    if wants_json:
        json.dump(costs, sys.stdout, indent=2)
        return
    for name, value in costs.items():
        print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
