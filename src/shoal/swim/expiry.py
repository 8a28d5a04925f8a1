"""What becomes of a suspicion that nobody refutes in time: the verdict, or a reason to wait (SWIM §4.2)."""

from __future__ import annotations

from functools import partial
from typing import Final

from shoal.events import HealthReason, MemberStalled, Verdict, VerdictReason
from shoal.state.precedence import incarnation_of, pack
from shoal.swim.announcements import Announcements
from shoal.swim.context import Context
from shoal.swim.deaths import Deaths
from shoal.swim.own_record import OwnRecord
from shoal.swim.stalls import Stalls
from shoal.swim.suspicion import Suspicion
from shoal.swim.suspicions import Suspicions
from shoal.swim.witnesses import Witnesses
from shoal.types import MemberState, NodeId
from shoal.wire.witnesses import write_witnesses

__all__ = ["Expiry"]

_PATIENCE: Final = 60.0
"""Probe intervals after which a node that found a member silent itself waits for nobody else's signature."""

_MOST_LOOKERS: Final = 256
"""Members of a cluster in which each looks for itself at whom few accuse. So many more at once make a machine late that
they share, which makes more accusations: 3,000 nodes on two cores took a minute to recover."""


class Expiry:
    """Times suspicions, and passes the verdict when one is over."""

    def __init__(
        self,
        context: Context,
        own: OwnRecord,
        suspicions: Suspicions,
        deaths: Deaths,
        stalls: Stalls,
        witnesses: Witnesses,
        announcements: Announcements,
    ) -> None:
        self._config = context.config
        self._table = context.table
        self._contact = context.contact
        self._timers = context.timers
        self._verdicts = context.verdicts
        self._trust = context.trust
        self._health = context.health
        self._tell = context.events.append
        self._own = own
        self._suspicions = suspicions
        self._deaths = deaths
        self._stalls = stalls
        self._witnesses = witnesses
        self._announcements = announcements

    def arm(self, id: NodeId, suspicion: Suspicion, now: float) -> None:
        """A suspicion is new, or lasts otherwise than it did."""
        suspicion.cancel()
        self._await(id, suspicion, max(suspicion.deadline, now))  # A late confirmation may leave no time at all.

    # Inside

    def _await(self, id: NodeId, suspicion: Suspicion, due: float) -> None:
        suspicion.timer = self._timers.at(due, partial(self._expire, id, suspicion, due))

    def _expire(self, id: NodeId, suspicion: Suspicion, due: float, now: float) -> None:
        """The suspicion was not refuted in time.

        Unless this process slept or hears nobody: then the refutation may be waiting in our own inbox, or be lost on
        our own link, and the suspect gets one more probe interval.
        """
        if id in self._stalls:
            self._wait_for_declared(id, suspicion)
            return
        doubt = self._doubt(due, now)
        if doubt is not None:
            self._verdicts.withhold(id, doubt)
            self._await(id, suspicion, now + self._config.probe_interval)
            return
        if suspicion.is_stalled and now < suspicion.started + suspicion.stall_tolerance:
            self._wait_for_stalled(id, suspicion, now)
            return
        if not self._may_bury(id, suspicion, now):
            self._ask_again(id, suspicion, now)
            return
        slot = self._suspicions.slot(id)
        incarnation = incarnation_of(self._table.belief(slot))
        reported_by = suspicion.declared_by
        reason = VerdictReason.SUSPICION_EXPIRED if reported_by is None else VerdictReason.REPORTED
        declared_by = reported_by or self._own.id
        evidence = self._suspicions.evidence(reason, id, now, declared_by=declared_by)
        testimony = write_witnesses(suspicion.told)
        if not self._deaths.bury(slot, pack(incarnation, MemberState.DEAD), evidence, now, testimony):
            self._verdicts.withhold(id, HealthReason.MASS_FAILURE)
            self._await(id, suspicion, now + self._config.probe_interval)
        elif reported_by is None:
            self._announcements.tell_death(id, incarnation, suspicion, declared_by)

    def _may_bury(self, id: NodeId, suspicion: Suspicion, now: float) -> bool:
        """Whether enough members signed, or where none do confirmed it, or this node had a look itself.

        What this node found out itself is enough after a long silence: whoever signed may be gone from its view.
        """
        if self._trust.is_credulous:
            is_looked_at = suspicion.is_unconfirmed or self._own.id in suspicion.accusers
            return suspicion.is_settled or is_looked_at or not self._can_look
        if self._witnesses.suffice(id, suspicion, now):
            return True
        patience = _PATIENCE * self._config.probe_interval
        return self._own.id in suspicion.signatures and now - suspicion.started >= patience

    @property
    def _can_look(self) -> bool:
        """Whether this node looks for itself before it believes few; the unwell find too many silent."""
        return self._config.doubt_deaths and self._table.present_count <= _MOST_LOOKERS and not self._health.score

    def _ask_again(self, id: NodeId, suspicion: Suspicion, now: float) -> None:
        """Too few members signed or confirmed: this node finds out for itself, if it has not, and goes on waiting."""
        suspicion.is_unconfirmed = True
        self._suspicions.to_probe.append(id)
        self._verdicts.withhold(id, HealthReason.UNCONFIRMED)
        self._await(id, suspicion, now + self._config.probe_interval)

    def _wait_for_stalled(self, id: NodeId, suspicion: Suspicion, now: float) -> None:
        """The suspect's machine is there and its process stands still: it gets time to go on."""
        if not suspicion.is_told_stalled:
            suspicion.is_told_stalled = True
            member = self._table.member(self._suspicions.slot(id))
            evidence = self._suspicions.evidence(VerdictReason.STALLED, id, now)
            self._verdicts.add(Verdict(member, now, evidence))
            self._tell(MemberStalled(member, evidence))
            self._announcements.spread(id, suspicion, is_common=True)
        self._await(id, suspicion, suspicion.started + suspicion.stall_tolerance)

    def _wait_for_declared(self, id: NodeId, suspicion: Suspicion) -> None:
        """The suspect has declared a stall, and is not judged before that is over."""
        suspicion.timer = self._timers.at(self._stalls.until(id), partial(self._suspect_again, id, suspicion))

    def _suspect_again(self, id: NodeId, suspicion: Suspicion, now: float) -> None:
        """The stall of a suspect is over: it could not refute during it, so it is given the time now.

        The suspicion may be ours alone, because whoever knew of the stall has dropped it: it is told again.
        """
        if id in self._stalls:  # Another stall took the place of the first.
            self._wait_for_declared(id, suspicion)
            return
        self._announcements.spread(id, suspicion)
        self._await(id, suspicion, now + suspicion.bounds.least)

    def _doubt(self, due: float, now: float) -> HealthReason | None:
        """Why a suspicion that was due may have expired through our own fault."""
        if self._config.forgive_stalls and now - due > self._config.probe_timeout:
            return HealthReason.STALLED
        if self._contact.is_lost(now - self._contact.usual_silence, now):
            return HealthReason.OUT_OF_CONTACT
        return None
