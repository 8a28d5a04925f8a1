"""How one piece of news after the other about one subject goes through a large cluster.

For each member the model keeps what `shoal.swim` keeps about the subject: which update waits in the gossip queue, how
often it was sent, and when the next round of gossip may go. Rounds while it is fresh, pings and acks carry it as in the
protocol (docs/protocol.md §9), with its delays, its losses and its limit of sends.

What is left out: other subjects' news in the same packets, state syncs, that two draws of one member may coincide, and
that rounds pass over a suspect neighbour.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Final

from shoal.sim.model.agenda import Agenda, Ints
from shoal.sim.model.arrays import np
from shoal.sim.model.setting import Setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["NOTHING", "Spread"]

NOTHING: Final = 0
"""The update of members that have nothing to pass on. The bits of any other stand for what it says."""

_PING_WINDOW: Final = 0.005
"""Seconds of pings that are handled at once."""

Hear = Callable[[Ints, Ints, float], None]
"""Called with members, the update that each hears, and the time; no member twice in one call."""


class Spread:
    """Carries updates from member to member; `say` puts one into queues, `hear` is told of each arrival.

    Members are numbers from 0, by their places on the ring; those for which `silent` holds neither send nor hear. Each
    copy that is heard counts as sent, and what is added goes on from there (`gossip_feedback`).
    """

    def __init__(
        self,
        setting: Setting,
        random: np.random.Generator,
        hear: Hear,
        *,
        silent: int | None = None,
    ) -> None:
        members = setting.members
        self._setting = setting
        self._has_feedback = setting.config.gossip_feedback
        self._random = random
        self._hear = hear
        self._silent = -1 if silent is None else silent
        self._waiting: Ints = np.zeros(members, np.int32)
        self._sent: NDArray[np.int16] = np.zeros(members, np.int16)
        #: How many sends more are worth packets of their own.
        self._eager_left: NDArray[np.int16] = np.zeros(members, np.int16)
        #: Of the ring, on which the next round goes to the neighbour.
        self._sides: NDArray[np.int8] = np.ones(members, np.int8)
        self._is_armed: NDArray[np.bool_] = np.zeros(members, np.bool_)
        self._earliest: NDArray[np.float64] = np.full(members, -inf)
        self._packets, self._rounds = Agenda(), Agenda()
        # Each member pings once in an interval, at a moment of its own.
        phases = random.random(members)
        self._by_phase = np.argsort(phases).astype(np.int32)
        self._phases = phases[self._by_phase]
        self._pinged_until = 0.0
        self.rounds = 0
        """Packets of gossip so far."""
        self.carried = 0
        """Updates in any packet so far."""

    @property
    def next(self) -> float:
        """When something is due, in seconds; infinite when all news has died down."""
        due = min(self._packets.next, self._rounds.next)
        if due <= self._pinged_until or not self._waiting.any():
            return due
        return min(due, self._pinged_until)

    def say(self, members: Ints, update: int | Ints, now: float, *, is_common: bool = False) -> None:
        """Put an update into the queues of members, in the place of the one that waits there.

        With feedback it counts as sent as often as that one was. Where none is, what `is_common`, found out by many
        members at the same time, counts as sent half as often as the limit allows.
        """
        if not len(members):
            return
        if not self._waiting.any():
            self._pinged_until = max(self._pinged_until, now)  # Pings until now carried nothing.
        begins = self._setting.sends // 2 if is_common and self._has_feedback else 0
        begin = members[self._waiting[members] == NOTHING] if self._has_feedback else members
        self._sent[begin] = begins
        self._eager_left[begin] = self._setting.eager_sends - begins
        self._waiting[members] = update
        self._arm(members[self._is_fresh(members) & ~self._is_armed[members]], now)

    def tell(self, sender: int, receivers: Ints, update: int, now: float) -> None:
        """Send an update to these members alone, in a packet of gossip for each."""
        self.rounds += len(receivers)
        told = np.full(len(receivers), update, np.int32)
        self._send(np.full(len(receivers), sender, np.int32), receivers, told, now)

    def step(self) -> None:
        """Let happen what is due next."""
        now = self.next
        if self._packets.next == now:
            members, updates = self._packets.pop()
            self._arrive(members, updates, now)
        elif self._rounds.next == now:
            self._gossip(self._rounds.pop()[0], now)
        else:
            self._ping(now)

    def _arm(self, members: Ints, now: float) -> None:
        """See that members gossip, as soon as their last round allows."""
        if not len(members):
            return
        self._is_armed[members] = True
        earliest = self._earliest[members]
        may = earliest <= now
        if not may.all():
            self._rounds.add(members[np.newaxis, ~may], earliest[~may], now)
        if may.any():
            self._gossip(members[may], now)

    def _gossip(self, members: Ints, now: float) -> None:
        """A round: one packet of news to some members each, the first of whom is a neighbour."""
        config = self._setting.config
        fanout = config.gossip_fanout
        self._earliest[members] = now + config.gossip_interval
        self.rounds += fanout * len(members)
        senders = np.repeat(members, fanout)
        receivers = self._others(senders)
        if config.gossip_to_neighbours and fanout > 1:
            receivers[::fanout] = (members + self._sides[members]) % self._setting.members
            self._sides[members] *= -1
        self._send(senders, receivers, self._take(members, fanout).repeat(fanout), now)
        is_fresh = self._is_fresh(members)
        self._is_armed[members[~is_fresh]] = False
        self._arm(members[is_fresh], now)

    def _ping(self, now: float) -> None:
        """Pings of a short time, and the acks to them."""
        interval = self._setting.config.probe_interval
        self._pinged_until = now + _PING_WINDOW
        start = now % interval / interval
        first, last = np.searchsorted(self._phases, (start, start + _PING_WINDOW / interval))
        pinging = self._by_phase[first:last]
        pinging = pinging[pinging != self._silent]
        pinged = self._others(pinging)
        self._send(pinging, pinged, self._take(pinging, 1), now)
        answers = (self._random.random(len(pinged)) >= self._setting.loss) & (pinged != self._silent)
        pinging, pinged = pinging[answers], pinged[answers]
        self._send(pinged, pinging, self._take(pinged, 1), now + sum(self._setting.latency) / 2)

    def _take(self, members: Ints, copies: int) -> Ints:
        """What members put into a packet of which so many copies go out."""
        taken = self._waiting[members]
        self._eager_left[members] -= copies
        self._count_sent(members, copies)
        return taken

    def _is_fresh(self, members: Ints) -> NDArray[np.bool_]:
        """Whether what waits was sent too seldom to ride on pings and acks alone."""
        is_waiting: NDArray[np.bool_] = self._waiting[members] != NOTHING
        return is_waiting & (self._eager_left[members] > 0)

    def _count_sent(self, members: Ints, copies: int) -> None:
        self._sent[members] += copies
        self._waiting[members[self._sent[members] >= self._setting.sends]] = NOTHING

    def _send(self, senders: Ints, receivers: Ints, updates: Ints, now: float) -> None:
        carries = updates != NOTHING
        if not carries.any():
            return
        self.carried += int(carries.sum())
        arrives = carries & (self._random.random(len(senders)) >= self._setting.loss) & (receivers != self._silent)
        events = np.stack((receivers[arrives], updates[arrives]))
        low, high = self._setting.latency
        delays = self._random.uniform(low, high, events.shape[1:])
        self._packets.add(events, now + delays, now)

    def _arrive(self, members: Ints, updates: Ints, now: float) -> None:
        """Hand over what arrives, member by member in the order of arrival."""
        while len(members) > 1:
            _, first = np.unique(members, return_index=True)
            self._take_in(members[first], updates[first], now)
            rest = np.ones(len(members), np.bool_)
            rest[first] = False
            members, updates = members[rest], updates[rest]
        if len(members):
            self._take_in(members, updates, now)

    def _take_in(self, members: Ints, updates: Ints, now: float) -> None:
        """To hear all that one is telling counts as having told it once more, but spares no rounds."""
        if self._has_feedback:
            telling = self._waiting[members]
            counts = self._sent[members] + np.maximum(self._eager_left[members], 0) < self._setting.sends
            self._count_sent(members[counts & (telling != NOTHING) & (telling & ~updates == 0)], 1)
        self._hear(members, updates, now)

    def _others(self, members: Ints) -> Ints:
        """For each member another one, at random."""
        drawn = self._random.integers(0, self._setting.members - 1, len(members), dtype=np.int32)
        return drawn + (drawn >= members)
