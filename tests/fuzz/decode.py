"""Throw random and mutated bytes at the native decoder: `python -m tests.fuzz.decode --seconds 10 --seed 1`.

Whatever comes in, `decode` returns a message or raises `DecodeError`; and what it returns, encoded again, is what came
in, because every meaning has one form. With atheris installed, as long again is spent on a search guided by coverage.
"""

import argparse
import importlib
import importlib.util
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random

from shoal.wire.dialect import DecodeError
from shoal.wire.native import NativeDialect
from tests.wire.examples import CLUSTER, encode, encodings

DIALECT = NativeDialect(CLUSTER)
HEADER_SIZE = 38
MAX_RANDOM = 1400
EDGES = (0x00, 0x01, 0x04, 0x06, 0x7F, 0x80, 0xFF)


def verdict(data: bytes) -> str:
    """The flaw of `data`, or the kind of message that it is."""
    try:
        message, updates = DIALECT.decode(data)
    except DecodeError as error:
        return error.flaw.value
    assert encode(DIALECT, message, updates) == data, "decoded and encoded again, the bytes are others"
    return type(message).__name__


def datagrams(random: Random, corpus: Sequence[bytes] = ()) -> Iterator[bytes]:
    """Without end: of ten, one is noise, one noise behind a good header, and eight are mutations of the corpus."""
    corpus = corpus or encodings(DIALECT)
    while True:
        choice = random.randrange(10)
        if choice == 0:
            yield random.randbytes(random.randrange(MAX_RANDOM))
        elif choice == 1:
            yield random.choice(corpus)[:HEADER_SIZE] + random.randbytes(random.randrange(MAX_RANDOM))
        else:
            yield mutate(random.choice(corpus), random.choice(corpus), random)


def mutate(data: bytes, other: bytes, random: Random) -> bytes:
    """`data` with one to four changes, of which some put in parts of `other`."""
    for _ in range(random.randint(1, 4)):
        # Half of the changes spare the header, behind which most of the decoder's decisions are made.
        first = random.choice((0, min(HEADER_SIZE, len(data))))
        at = random.randint(first, len(data))
        head, tail = data[:at], data[at:]
        size = random.randint(1, 8)
        match random.randrange(7):
            case 0:
                data = head
            case 1:
                data = head + tail[size:]
            case 2:
                data = head + random.randbytes(size) + tail
            case 3:
                data = head + bytes((random.choice(EDGES),)) + tail[1:]
            case 4:
                data = head + bytes((random.randrange(256),)) + tail[1:]
            case 5:
                data = head + tail[:size] * 2 + tail[size:]
            case _:
                data = head + other[random.randrange(len(other)) :]
    return data


def run(seed: int, seconds: float) -> Counter[str]:
    """Check datagrams for so long; raises what the first bad one raises, with its bytes in a note."""
    verdicts: Counter[str] = Counter()
    end = time.monotonic() + seconds
    for data in datagrams(Random(seed)):
        if time.monotonic() >= end:
            break
        verdicts[_noted_verdict(data)] += 1
    return verdicts


def _noted_verdict(data: bytes) -> str:
    try:
        return verdict(data)
    except Exception as error:
        error.add_note(f"datagram: {data.hex()}")
        raise


def run_guided(seed: int, seconds: float) -> None:
    """Search with atheris, which ends the process; the first byte chooses a good header for the rest."""
    atheris = importlib.import_module("atheris")
    headers = [message[:HEADER_SIZE] for message in encodings(DIALECT)]

    def behind_header(data: bytes) -> None:
        _noted_verdict(headers[data[0] % len(headers)] + data[1:] if data else data)

    atheris.instrument_all()
    # libFuzzer takes 0 for "choose one", and whole seconds only.
    options = [f"-seed={seed or 1}", f"-max_total_time={max(1, round(seconds))}", f"-max_len={MAX_RANDOM}"]
    atheris.Setup([sys.argv[0], *options], behind_header)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.decode", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to go on (default: 10)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same datagrams (default: 1)")
    arguments = parser.parse_args()
    verdicts = run(arguments.seed, arguments.seconds)
    for name, count in verdicts.most_common():
        sys.stdout.write(f"{count:>9,} {name}\n")
    sys.stdout.write(f"{verdicts.total():>9,} datagrams, seed {arguments.seed}: none escaped\n")
    if importlib.util.find_spec("atheris") is not None:
        sys.stdout.flush()
        run_guided(arguments.seed, arguments.seconds)


if __name__ == "__main__":
    main()
