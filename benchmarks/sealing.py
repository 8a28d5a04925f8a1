"""What sealing a message costs: `python -m benchmarks.sealing [--json]`.

Microseconds to seal and to open messages of the size of an ack and of a full datagram with each suite; to open the
first message of a sender, whose sub-key has to be derived; and to drop what is forged, replayed or sealed with a
foreign key. CPU time, the best of many repeats.
"""

import argparse
import json
import sys
import time
import timeit
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import count

from shoal.keys import ClusterKey
from shoal.wire.envelope import OVERHEAD, Channel, Opener, OpenError, Sealer
from shoal.wire.keyring import Keyring
from shoal.wire.seals import Suite

SIZES = (60, 1400 - OVERHEAD)
BATCH = 2_000
REPEATS = 30
NOW = 1_800_000_000
KEY, OTHER = ClusterKey(bytes(range(32))), ClusterKey(bytes(32))

_salts = count()


@dataclass(frozen=True, slots=True)
class Timing:
    suite: str
    size: int
    seal_us: float
    open_us: float
    first_us: float
    forged_us: float
    replayed_us: float
    foreign_us: float


def sealer(key: ClusterKey, suite: Suite) -> Sealer:
    return Sealer(Keyring([key]), "shoal", suite, Channel.DATAGRAM, lambda size: next(_salts).to_bytes(size))


def opener() -> Opener:
    return Opener(Keyring([KEY]), "shoal", max_age=60.0, max_senders=65_536)


def measure(suite: Suite, size: int) -> Timing:
    message, seals = bytes(size), sealer(KEY, suite)
    sealed = [seals.seal(message, NOW) for _ in range(BATCH)]
    firsts = [sealer(KEY, suite).seal(message, NOW) for _ in range(BATCH)]
    forged = [data[:-1] + bytes((data[-1] ^ 1,)) for data in sealed]
    foreign = [sealer(OTHER, suite).seal(message, NOW)] * BATCH
    return Timing(
        suite.name.lower().replace("_", "-"),
        size,
        seal_us=best(lambda: [seals.seal(message, NOW) for _ in range(BATCH)], BATCH),
        open_us=best(lambda: open_all(opener(), sealed), BATCH),
        first_us=best(lambda: open_all(opener(), firsts), BATCH),
        forged_us=best(lambda: open_all(opener(), forged, opened=sealed[:1]), BATCH),
        replayed_us=best(lambda: open_all(opener(), sealed[:1] * BATCH, opened=sealed[:1]), BATCH),
        foreign_us=best(lambda: open_all(opener(), foreign), BATCH),
    )


def open_all(opens: Opener, messages: Sequence[bytes], opened: Sequence[bytes] = ()) -> None:
    for data in opened:
        opens.open(data, Channel.DATAGRAM, NOW)
    for data in messages:
        with suppress(OpenError):
            opens.open(data, Channel.DATAGRAM, NOW)


def best(work: Callable[[], object], messages: int) -> float:
    # CPU time, so that other work on the machine counts less.
    return min(timeit.repeat(work, number=1, repeat=REPEATS, timer=time.process_time)) / messages * 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sealing", description="What sealing a message costs.")
    parser.add_argument("--json", action="store_true", help="print one JSON document, no table")
    options = parser.parse_args(arguments)
    timings = [measure(suite, size) for suite in Suite for size in SIZES]
    if options.json:
        print(
            json.dumps({"benchmark": "sealing", "overhead": OVERHEAD, "results": list(map(asdict, timings))}, indent=2)
        )
        return 0
    print(f"{'µs per message of':<20}  {'bytes':>5}  seal  open  first  forged  replayed  foreign key")
    for each in timings:
        print(
            f"{each.suite:<20}  {each.size:>5}  {each.seal_us:>4.2f}  {each.open_us:>4.2f}  {each.first_us:>5.2f}  "
            f"{each.forged_us:>6.2f}  {each.replayed_us:>8.2f}  {each.foreign_us:>11.2f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
