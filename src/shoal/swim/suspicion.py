"""How long a suspected member has to refute, and who accused it (SWIM §4.2, Lifeguard §IV-B)."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, log10
from typing import Final

from shoal.config import ClusterConfig
from shoal.events import ProbeReport, SuspicionTime
from shoal.swim.timers import Timer
from shoal.types import NodeId, Note
from shoal.wire.messages import Witness

__all__ = [
    "MOST_SIGNATURES",
    "SHARE_OF_LATE",
    "SHARE_OF_REPORTED",
    "Suspicion",
    "SuspicionBounds",
    "suspicion_bounds",
    "suspicion_timeout",
]

MOST_SIGNATURES: Final = 16
"""Signatures that are kept about one suspect."""
_MAX_PROBES: Final = 4
"""Failed probes of one suspect that are kept as evidence; there may be many in a long suspicion."""


@dataclass(frozen=True, slots=True)
class SuspicionBounds:
    """The range of a suspicion time, in seconds, and how many confirmations bring it from `longest` to `least`."""

    least: float
    longest: float
    confirmations: int


def suspicion_bounds(config: ClusterConfig, members: int) -> SuspicionBounds:
    """The bounds in a cluster of `members` (spec of memberlist: the least is alpha * max(1, log10 n) probe intervals).

    Where fewer members than the wanted confirmations could confirm, waiting for them would only cost time: the least
    applies at once.
    """
    least = max(config.suspicion_floor, config.suspicion_alpha * log10(max(1, members))) * config.probe_interval
    confirmations = config.suspicion_confirmations
    if not config.lha_suspicion or members - 2 < confirmations:
        return SuspicionBounds(least, least, 0)
    return SuspicionBounds(least, config.suspicion_beta * least, confirmations)


def suspicion_timeout(bounds: SuspicionBounds, confirmations: int) -> float:
    """Seconds from the start of the suspicion until death is declared (Lifeguard §IV-B)."""
    if bounds.confirmations == 0:
        return bounds.least
    shrink = log(confirmations + 1) / log(bounds.confirmations + 1)
    return max(bounds.least, bounds.longest - (bounds.longest - bounds.least) * shrink)


SHARE_OF_REPORTED: Final = 0.75
"""Of the least suspicion time, that a reported death has to wait for: who reports it heard of the suspicion some rounds
of gossip earlier."""


SHARE_OF_LATE: Final = 0.1
"""Of the least suspicion time, that any suspicion lasts here from when this node heard of it: a refutation may be on
its way."""


class Suspicion:
    """One member under suspicion at one incarnation."""

    __slots__ = (
        "accusers",
        "bounds",
        "declared_by",
        "heard",
        "is_held",
        "is_stalled",
        "is_told_stalled",
        "is_unconfirmed",
        "members",
        "probes",
        "signatures",
        "stall_tolerance",
        "started",
        "timer",
        "told",
    )

    def __init__(self, accuser: NodeId, bounds: SuspicionBounds, now: float, *, members: int) -> None:
        #: When each accuser was heard: the first one, then at most `bounds.confirmations` that confirmed.
        self.accusers = {accuser: now}
        self.bounds = bounds
        #: When the first accuser began to accuse, as far as this node knows, and when this node heard of it.
        self.started = self.heard = now
        #: Nobody is told yet but those who check it.
        self.is_held = False
        #: How many were present when it began.
        self.members = members
        #: Where members sign: those of its accusers.
        self.signatures: dict[NodeId, bytes] = {}
        #: Those of them that are told on.
        self.told: tuple[Witness, ...] = ()
        #: It expired with too few of them.
        self.is_unconfirmed = False
        #: This node's own failed probes of the suspect.
        self.probes: list[ProbeReport] = []
        self.timer: Timer | None = None
        #: The suspect's machine accepts connections, says an accuser; and whether the user was told.
        self.is_stalled = False
        self.is_told_stalled = False
        #: How long it may last for that.
        self.stall_tolerance = 0.0
        #: Who reported that the suspect is dead, if anybody did; it counts as all confirmations.
        self.declared_by: NodeId | None = None

    @property
    def first_accuser(self) -> NodeId:
        """Who brought it up."""
        return next(iter(self.accusers))

    @property
    def latest_accuser(self) -> NodeId:
        """Who confirmed last, or brought it up if nobody confirmed."""
        return next(reversed(self.accusers))

    @property
    def confirmations(self) -> int:
        """How many accused after the first."""
        return len(self.accusers) - 1

    @property
    def is_settled(self) -> bool:
        """Whether as many have confirmed as bring it to its least time."""
        return len(self.accusers) > self.bounds.confirmations

    @property
    def timeout(self) -> float:
        """How long the suspicion lasts with the confirmations so far, in seconds."""
        if self.declared_by is not None:
            return SHARE_OF_REPORTED * self.bounds.least
        if self.is_stalled:  # Whoever could connect needs nobody to confirm that the process does not answer.
            return self.bounds.least
        return suspicion_timeout(self.bounds, self.confirmations)

    @property
    def deadline(self) -> float:
        """When it expires with the confirmations so far; whoever hears of it late still waits a moment."""
        return max(self.started + self.timeout, self.heard + SHARE_OF_LATE * self.bounds.least)

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("accusers of a suspect", len(self.accusers), 1 + self.bounds.confirmations)
        note("signatures against a suspect", len(self.signatures), MOST_SIGNATURES)
        note("failed probes of a suspect", len(self.probes), _MAX_PROBES)

    def confirm(self, accuser: NodeId, now: float) -> bool:
        """Count a further accuser; False if it changes nothing: it accused before, or enough others did."""
        if self.is_settled or accuser in self.accusers:
            return False
        self.accusers[accuser] = now
        return True

    def backdate(self, began: float) -> bool:
        """It began no later than then; False if this is known."""
        if began >= self.started:
            return False
        self.started = began
        return True

    def tolerate(self, seconds: float) -> None:
        """The suspect's machine accepts connections: its process gets so long, from the beginning, to go on."""
        self.is_stalled = True
        self.stall_tolerance = seconds

    def add_probe(self, report: ProbeReport) -> None:
        """Keep an own failed probe as evidence."""
        if len(self.probes) < _MAX_PROBES:
            self.probes.append(report)

    def time(self, now: float) -> SuspicionTime:
        """How long it lasts and why, as it stands now."""
        return SuspicionTime(
            started=self.started,
            lasted=now - self.started,
            timeout=self.timeout,
            least=self.bounds.least,
            longest=self.bounds.longest,
            members=self.members,
            confirmations=self.confirmations,
            confirmations_wanted=self.bounds.confirmations,
            is_stalled=self.is_stalled,
            stall_tolerance=self.stall_tolerance,
        )

    def cancel(self) -> None:
        """The member refuted, died otherwise, or left."""
        if self.timer is not None:
            self.timer.cancel()
