"""What the director of a run and its worker processes say to each other: one answer for each request, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shoal.types import Address, Member

__all__ = [
    "Adopt",
    "Answer",
    "Collect",
    "Done",
    "Failed",
    "Kill",
    "Look",
    "Open",
    "Opened",
    "Prepare",
    "Prepared",
    "Reading",
    "Request",
    "Sightings",
    "Start",
]


@dataclass(frozen=True, slots=True)
class Open:
    """Start these nodes, each at its time, and go on answering meanwhile; answered by `Opened` only if `wait`."""

    schedule: Sequence[tuple[int, float]]
    """Node numbers, and when each is due, in monotonic seconds."""
    seeds: Sequence[Address]
    """Each node joins through one of them; without any it is the first."""
    wait: bool = False
    """Answer when all are up, with where they are."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Open the sockets of these nodes, which do nothing before `Start`; answered by `Prepared`."""

    numbers: Sequence[int]


@dataclass(frozen=True, slots=True)
class Adopt:
    """Let every prepared node know these members."""

    members: bytes
    """See `shoal.sim.formation`."""


@dataclass(frozen=True, slots=True)
class Start:
    """Let every prepared node run."""


@dataclass(frozen=True, slots=True)
class Look:
    """How is it going? Answered by a `Reading`."""

    expected: int
    """Alive members in a complete view."""


@dataclass(frozen=True, slots=True)
class Kill:
    """End these nodes without goodbye, those of them that live here."""

    numbers: frozenset[int]


@dataclass(frozen=True, slots=True)
class Collect:
    """What was seen of the killed nodes? Answered by `Sightings`."""


Request = Open | Prepare | Adopt | Start | Look | Kill | Collect


@dataclass(frozen=True, slots=True)
class Done:
    """It is done; `at` is monotonic seconds, which all processes of a machine share."""

    at: float


@dataclass(frozen=True, slots=True)
class Opened:
    """The nodes are up."""

    addresses: Sequence[Address]


@dataclass(frozen=True, slots=True)
class Prepared:
    """The nodes as they see themselves."""

    members: Sequence[Member]


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker cannot go on."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """The state of one worker's nodes. Counters only rise; those of killed nodes stay in."""

    at: float = 0.0
    """Monotonic seconds."""
    started: int = 0
    complete: int = 0
    """Nodes whose view has as many alive members as expected."""
    known: int = 0
    """Alive members, summed over the views."""
    unwell: int = 0
    """Nodes whose local health is not 0, so that they probe more slowly."""
    cpu_seconds: float = 0.0
    """Of the process, user and system."""
    resident_bytes: int = 0
    bytes_before: int = 0
    """Resident before there was a node."""
    datagrams_out: int = 0
    datagram_bytes_out: int = 0
    """Payload."""
    streams_out: int = 0
    stream_bytes_out: int = 0
    streams_failed: int = 0
    send_full: int = 0
    """Datagrams that the sender's own buffer had no room for."""
    false_suspicions: int = 0
    """Of nodes that run, by each observer."""
    false_deaths: int = 0
    falsely_suspected: int = 0
    """Different nodes among them."""
    falsely_dead: int = 0
    verdicts: int = 0
    """How often a survivor came to hold a killed node dead."""
    longest_lag: float = 0.0
    """Seconds by which the latest timer came too late since the last reading."""
    core_faults: int = 0
    """Exceptions out of a core: each is a bug."""


@dataclass(frozen=True, slots=True)
class Sightings:
    """When each survivor came to hold a killed node dead, in monotonic seconds, and how views ended."""

    verdicts: Mapping[int, Sequence[float]] = field(default_factory=dict)
    digests: frozenset[int] = frozenset()
    """The different ones among the survivors' views."""


Answer = Done | Opened | Prepared | Failed | Reading | Sightings
