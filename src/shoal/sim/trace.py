"""A trace: every input into every core as one line of JSON, and the way back from lines to cores.

The first line of a run says how its core was made; each further line is one input, with a digest of all that came out
of the core. The last line of all says how many inputs there were, so that a trace that was cut off is told. Replaying
feeds the inputs to fresh cores and compares: the first line whose digest differs is where behaviour changed.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import Any, TextIO

from shoal.config import ClusterConfig
from shoal.events import Event
from shoal.sim.inputs import DOORS, Input
from shoal.swim.core import Swim
from shoal.swim.outputs import Datagram, Output
from shoal.types import Address, NodeId, NodeInfo, Readiness, Tags
from shoal.wire.dialect import Dialect
from shoal.wire.identity import SignedIdentity
from shoal.wire.identity_keys import IdentityKey
from shoal.wire.native import NativeDialect

__all__ = ["Birth", "ReplayError", "Step", "TraceWriter", "replay"]

_BIRTH = "birth"
_END = "end"


class ReplayError(Exception):
    """A trace cannot be read, or a core did something else than when the trace was written."""


@dataclass(frozen=True, slots=True)
class Birth:
    """All that a core is made of."""

    seed: str
    config: ClusterConfig
    info: NodeInfo
    dialect: Callable[[str], Dialect] = NativeDialect
    """Makes the dialect for the cluster's name."""
    identity: str = ""
    """The secret of its identity key, in hexadecimal digits; empty: nodes have no identities."""

    def core(self, now: float) -> Swim:
        """Make it."""
        cluster, trust = self.config.cluster, None
        if self.identity:
            trust = SignedIdentity(IdentityKey(bytes.fromhex(self.identity)), cluster)
        return Swim(self.config, self.info, self.dialect(cluster), Random(self.seed), now, trust)


@dataclass(frozen=True, slots=True)
class Step:
    """One input of a replayed trace, and what the fresh core made of it."""

    node: str
    run: int
    now: float
    """The node's own clock."""
    entry: Input
    core: Swim
    answer: bytes | None
    outputs: Sequence[Output]
    events: Sequence[Event]


class TraceWriter:
    """Writes lines to a text file or anything like it."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._inputs = 0

    def born(self, now: float, node: str, run: int, birth: Birth) -> None:
        """A core was made."""
        info = birth.info
        self._write(
            now=now,
            node=node,
            run=run,
            door=_BIRTH,
            seed=birth.seed,
            name=info.name,
            id=str(info.id),
            address=str(info.address),
            tags=info.tags,
            config=birth.config.as_dict(),
            identity=birth.identity,
        )

    def fed(
        self,
        now: float,
        node: str,
        run: int,
        entry: Input,
        answer: bytes | None,
        outputs: Sequence[Output],
        events: Sequence[Event],
    ) -> None:
        """A core got an input and gave these answers."""
        out = _digest(answer, outputs, events)
        self._inputs += 1
        self._write(now=now, node=node, run=run, door=entry.door, **_plain(entry), out=out)

    def ended(self) -> None:
        """There are no further inputs."""
        self._write(door=_END, inputs=self._inputs)

    def _write(self, **line: object) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")


def replay(lines: Iterable[str], dialect: Callable[[str], Dialect] = NativeDialect) -> Iterator[Step]:
    """Feed a trace to fresh cores, one input a step.

    Raises `ReplayError` at the first line that is no trace, or whose outputs are not those of the trace, and when
    lines are missing at the end.
    """
    cores: dict[tuple[str, int], Swim] = {}
    inputs, said = 0, None
    for number, line in enumerate(lines, 1):
        if said is not None:
            raise ReplayError(f"line {number} comes after the end of the trace")
        try:
            record = json.loads(line)
            if record["door"] == _END:
                said = record["inputs"]
                continue
            key = (record["node"], record["run"])
            if record["door"] == _BIRTH:
                cores[key] = _read_birth(record, dialect).core(record["now"])
                continue
            core, entry = cores[key], _read_input(record)
            now, expected = record["now"], record["out"]
        except (KeyError, TypeError, ValueError) as error:
            raise ReplayError(f"line {number} is no line of a trace: {error!r}") from error
        answer = entry.apply(core, now)
        step = Step(*key, now, entry, core, answer, core.outgoing(), core.events())
        if _digest(answer, step.outputs, step.events) != expected:
            raise ReplayError(f"line {number}: {step.node} made something else of {entry} at {now} than in the trace")
        inputs += 1
        yield step
    _check_end(inputs, said)


def _check_end(inputs: int, said: int | None) -> None:
    if said is None:
        raise ReplayError(f"the trace has no end: it was cut off after {inputs} inputs, or the run did not end")
    if said != inputs:
        raise ReplayError(
            f"the trace has {inputs} inputs, and says at its end that there were {said}: lines are missing"
        )


def _digest(answer: bytes | None, outputs: Sequence[Output], events: Sequence[Event]) -> str:
    """Eight bytes that stand for everything that came out of a core."""
    hasher = blake2b(digest_size=8)
    hasher.update(b"-" if answer is None else b"+" + answer)
    for output in outputs:
        if isinstance(output, Datagram):
            hasher.update(f"\n{output.address} ".encode() + output.data)
        else:
            hasher.update(f"\n{output.token} {output.address} {output.timeout!r} ".encode() + output.data)
    for event in events:
        hasher.update(f"\n{event!r}".encode())
    return hasher.hexdigest()


def _plain(entry: Input) -> dict[str, object]:
    """The fields of an input as JSON can hold them."""
    return {name: _convert(_TO_JSON, kind, getattr(entry, name)) for name, kind in _FIELDS[entry.door].items()}


def _read_input(record: dict[str, Any]) -> Input:
    door: str = record["door"]
    fields = {name: _convert(_FROM_JSON, kind, record[name]) for name, kind in _FIELDS[door].items()}
    return DOORS[door](**fields)


def _read_birth(record: dict[str, Any], dialect: Callable[[str], Dialect]) -> Birth:
    info = NodeInfo(
        name=record["name"],
        id=NodeId.parse(record["id"]),
        address=Address.parse(record["address"]),
        tags=Tags(record["tags"]),
    )
    return Birth(record["seed"], ClusterConfig().replace(**record["config"]), info, dialect, record["identity"])


def _convert(converters: dict[Any, Callable[[Any], object]], kind: Any, value: Any) -> Any:
    convert = converters.get(kind)
    return value if convert is None else convert(value)


# The types of each input's fields, by the name of its door.
_FIELDS: dict[str, dict[str, Any]] = {
    door: {name: hint for name, hint in typing.get_type_hints(kind).items() if name != "door"}
    for door, kind in DOORS.items()
}
_TO_JSON: dict[Any, Callable[[Any], object]] = {
    bytes: bytes.hex,
    NodeId: str,
    Address: str,
    tuple[Address, ...]: lambda addresses: [str(address) for address in addresses],
}
_FROM_JSON: dict[Any, Callable[[Any], object]] = {
    bytes: bytes.fromhex,
    NodeId: NodeId.parse,
    Address: Address.parse,
    tuple[Address, ...]: lambda texts: tuple(map(Address.parse, texts)),
    Tags: Tags,
    Readiness: Readiness,
}
