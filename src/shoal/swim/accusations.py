"""How accusations become suspicions, and suspicions deaths (SWIM §4.2, Lifeguard §IV-B)."""

from __future__ import annotations

from functools import partial
from typing import Final

from shoal.events import (
    HealthReason,
    MemberJoined,
    MemberRecovered,
    MemberStalled,
    MemberSuspected,
    ProbeReport,
    StreamEnd,
    Verdict,
    VerdictReason,
)
from shoal.state.precedence import incarnation_of, pack, state_of, supersedes
from shoal.swim.claims import Claims
from shoal.swim.context import Context
from shoal.swim.corroboration import Corroboration
from shoal.swim.deaths import Deaths
from shoal.swim.news import News
from shoal.swim.own_record import OwnRecord
from shoal.swim.probe_order import ProbeOrder
from shoal.swim.stalls import Stalls
from shoal.swim.stats import Drop
from shoal.swim.suspicion import Suspicion, suspicion_bounds
from shoal.swim.suspicions import Suspicions
from shoal.types import MemberState, NodeId
from shoal.wire.messages import Dead, Suspect

__all__ = ["PATIENCE", "Accusations"]

PATIENCE: Final = 1.25
"""For how many times as long as checking takes, who accuses waits for what comes of it: others may be somewhat late."""


class Accusations:
    """Takes in accusations, our own and those of others, and passes the verdict when nobody refutes."""

    def __init__(
        self,
        context: Context,
        own: OwnRecord,
        claims: Claims,
        suspicions: Suspicions,
        deaths: Deaths,
        stalls: Stalls,
        order: ProbeOrder,
        news: News,
        corroboration: Corroboration,
    ) -> None:
        self._config = context.config
        self._dialect = context.dialect
        self._table = context.table
        self._contact = context.contact
        self._stats = context.stats
        self._timers = context.timers
        self._verdicts = context.verdicts
        self._trust = context.trust
        self._tell = context.events.append
        self._own = own
        self._claims = claims
        self._suspicions = suspicions
        self._deaths = deaths
        self._stalls = stalls
        self._order = order
        self._news = news
        self._corroboration = corroboration
        self.new_suspects: list[NodeId] = []
        """Who came under suspicion since the prober last looked."""
        self.unchecked: list[NodeId] = []
        """Whom this node accused since then, and others have to check."""

    # What this node found out

    def accuse(self, id: NodeId, incarnation: int, probe: ProbeReport, now: float) -> None:
        """Our own probe of a member failed; `incarnation` is what it had when the probe began.

        A member that has refuted meanwhile is alive, and the accusation stale.
        """
        if self._table.is_present(id):
            is_stalled = probe.stream_end is StreamEnd.SILENT
            self.hear_suspicion(id, incarnation, self._own.id, now, probe, is_stalled=is_stalled)
            if probe.stream_end is StreamEnd.REFUSED:
                self._note_refused(id, now)

    def is_ours(self, id: NodeId) -> bool:
        """Whether this node itself is among the accusers of a suspect."""
        suspicion = self._suspicions.get(id)
        return suspicion is not None and self._own.id in suspicion.accusers

    def held_suspicion(self, id: NodeId) -> bytes:
        """What is held against a suspect of which not everybody was told yet, as updates."""
        slot = self._table.slot_of(id)
        assert slot is not None, "a suspicion outlived its row"
        told = self._told(id, incarnation_of(self._table.belief(slot)), self._suspicions[id])
        return b"".join(map(self._dialect.encode_update, told))

    def verdict_about(self, id: NodeId) -> bytes | None:
        """The update that tells a member of the suspicion or death held against it; None if there is none.

        Lifeguard's buddy system, extended to the dead: whoever can still talk to us can still refute.
        """
        slot = self._table.slot_of(id)
        if slot is None:
            return None
        belief = self._table.belief(slot)
        match state_of(belief):
            case MemberState.SUSPECT if self._config.buddy:
                suspicion = self._suspicions[id]
                accuser, is_stalled = suspicion.first_accuser, suspicion.is_stalled
                return self._dialect.encode_update(Suspect(id, incarnation_of(belief), accuser, is_stalled))
            case MemberState.DEAD:
                return self._dialect.encode_update(Dead(id, incarnation_of(belief), self._own.id))
            case _:
                return None

    # What others say

    def hear_suspicion(
        self,
        id: NodeId,
        incarnation: int,
        accuser: NodeId,
        now: float,
        probe: ProbeReport | None = None,
        *,
        is_stalled: bool = False,
    ) -> None:
        """A member is accused of not answering; `is_stalled` says that its machine accepted a connection."""
        slot = self._accused(id, incarnation, accuser, now)
        if slot is None:
            return
        belief, incoming = self._table.belief(slot), pack(incarnation, MemberState.SUSPECT)
        if supersedes(incoming, belief):
            # What is told to everybody was checked before; then this node need not wait for so long.
            age = 0.0 if self._checks(id, accuser) else self._corroboration.checking_time
            self._suspect(slot, incoming, accuser, now, probe, is_stalled=is_stalled, age=age)
        elif incoming == belief:
            self._confirm(id, incarnation, accuser, now, probe, is_stalled=is_stalled)
        else:
            self._stats.drop(Drop.STALE)

    def hear_death(self, id: NodeId, incarnation: int, accuser: NodeId, now: float) -> None:
        """A member is declared dead by another."""
        slot = self._accused(id, incarnation, accuser, now)
        if slot is None:
            return
        belief = pack(incarnation, MemberState.DEAD)
        if not supersedes(belief, self._table.belief(slot)):
            self._stats.drop(Drop.STALE)
        elif self._config.doubt_deaths and self._table.is_present(id):
            self._doubt_death(slot, incarnation, accuser, now)
        else:
            evidence = self._suspicions.evidence(VerdictReason.REPORTED, id, now, declared_by=accuser)
            if self._deaths.bury(slot, belief, evidence, now):
                self._news.tell_verdict([Dead(id, incarnation, accuser)])
            else:
                self._doubt_death(slot, incarnation, accuser, now)

    def _accused(self, id: NodeId, incarnation: int, accuser: NodeId, now: float) -> int | None:
        """The row of whom an accusation is about; None if that is us, or the accusation counts for nothing."""
        if id == self._own.id:
            self._own.refute(incarnation, now)
            return None
        slot = self._table.slot_of(id)
        if slot is None:
            self._stats.drop(Drop.UNKNOWN_MEMBER)
        elif id in self._stalls:
            self._stats.drop(Drop.DECLARED_STALL)
            self._stalls.defend(id, now)
            return None
        elif accuser in self._deaths.damping:
            self._stats.drop(Drop.DAMPED_ACCUSER)
            return None
        elif not self._trust.is_credulous and incarnation > incarnation_of(self._table.belief(slot)):
            self._stats.drop(Drop.UNKNOWN_INCARNATION)
            return None
        return slot

    def _suspect(
        self,
        slot: int,
        belief: int,
        accuser: NodeId,
        now: float,
        probe: ProbeReport | None,
        *,
        is_stalled: bool = False,
        age: float = 0.0,
    ) -> None:
        table = self._table
        id, address, was = table.id(slot), table.address(slot), table.state(slot)
        if not self._claims.may_take_address(address, id, table.name(slot)):
            return
        self._deaths.acquit(slot, now)
        self._claims.clear_address(address, id, now)
        table.set_belief(slot, belief, now)
        is_stalled = is_stalled and self._config.stall_tolerance > 0
        suspicion = self._open(id, accuser, now, probe, is_stalled=is_stalled, age=age)
        self._hold_or_spread(id, suspicion, now)
        member = table.member(slot)
        # What it refuted, before it was suspected again, we did not hear of.
        if was is MemberState.SUSPECT:
            self._tell(MemberRecovered(member))
        elif not was.is_present:
            self._order.insert(slot)
            self._tell(MemberJoined(member))
        reason = VerdictReason.PROBE_FAILED if probe is not None else VerdictReason.REPORTED
        evidence = self._suspicions.evidence(reason, id, now)
        self._verdicts.add(Verdict(member, now, evidence))
        self._tell(MemberSuspected(member, evidence))

    def _open(
        self, id: NodeId, accuser: NodeId, now: float, probe: ProbeReport | None, *, is_stalled: bool, age: float
    ) -> Suspicion:
        members = self._table.present_count
        suspicion = Suspicion(accuser, suspicion_bounds(self._config, members), now, members=members, age=age)
        suspicion.is_stalled = is_stalled
        if probe is not None:
            suspicion.add_probe(probe)
        self._suspicions.open(id, suspicion)
        self._arm(id, suspicion, now)
        self._stats.suspicions += 1
        self.new_suspects.append(id)
        return suspicion

    def _confirm(
        self, id: NodeId, incarnation: int, accuser: NodeId, now: float, probe: ProbeReport | None, *, is_stalled: bool
    ) -> None:
        """A further accuser shortens the suspicion, and the first few are passed on (Lifeguard §IV-B)."""
        suspicion = self._suspicions[id]
        if probe is not None:
            suspicion.add_probe(probe)
        is_news = is_stalled and not suspicion.is_stalled and self._config.stall_tolerance > 0
        suspicion.is_stalled |= is_news
        if not suspicion.confirm(accuser, now) and not is_news:
            self._stats.drop(Drop.STALE)
            return
        self._arm(id, suspicion, now)
        if not suspicion.is_held:
            self._spread(id, suspicion, is_common=not is_news)
        elif suspicion.confirmations >= suspicion.bounds.confirmations:
            self._spread(id, suspicion)
        elif accuser == self._own.id:
            self._have_checked(id, suspicion, now)

    def _note_refused(self, id: NodeId, now: float) -> None:
        """The suspect's machine says that nobody listens: whatever stood still there is gone."""
        suspicion = self._suspicions.get(id)
        if suspicion is not None and suspicion.is_stalled:
            suspicion.is_stalled = False
            self._arm(id, suspicion, now)

    def _doubt_death(self, slot: int, incarnation: int, accuser: NodeId, now: float) -> None:
        """A death is reported of a member that is present here: it still gets time to refute.

        Who hears of every suspicion, as nearly all do, has counted most of that time already when the report comes.
        But a member with a bad link may declare deaths whose suspicion never got through, not even to the victim.
        """
        id, belief = self._table.id(slot), pack(incarnation, MemberState.SUSPECT)
        if supersedes(belief, self._table.belief(slot)):
            self._suspect(slot, belief, accuser, now, None)
        suspicion = self._suspicions.get(id)
        if suspicion is None or suspicion.declared_by is not None:
            self._stats.drop(Drop.STALE)
            return
        suspicion.declared_by = accuser
        self._arm(id, suspicion, now)
        # Whoever has all confirmations is about to find out without being told.
        self._spread(id, suspicion, is_common=suspicion.confirmations >= suspicion.bounds.confirmations)

    # Who is told

    def _checks(self, id: NodeId, accuser: NodeId) -> bool:
        """Whether this node finds out itself whether an accusation is right."""
        own = self._own.id
        return accuser == own or self._corroboration.is_challenger(own, id)

    def _hold_or_spread(self, id: NodeId, suspicion: Suspicion, now: float) -> None:
        """Tell everybody, unless it is us who have to check it, or to have it checked."""
        if not self._corroboration.checking_time or not self._checks(id, suspicion.first_accuser):
            self._spread(id, suspicion)
            return
        suspicion.is_held = True
        if suspicion.first_accuser == self._own.id:
            self._have_checked(id, suspicion, now)

    def _have_checked(self, id: NodeId, suspicion: Suspicion, now: float) -> None:
        """Tell those who check an accusation that it is ours; and all others, if nobody confirms or refutes."""
        self.unchecked.append(id)
        checking_time = self._corroboration.checking_time
        checked_for = now - suspicion.started
        patience = max(PATIENCE * checking_time - checked_for, (PATIENCE - 1) * checking_time)
        self._timers.at(now + patience, partial(self._stop_holding, id, suspicion))

    def _stop_holding(self, id: NodeId, suspicion: Suspicion, _now: float) -> None:
        """Perhaps those who were asked are gone too."""
        if suspicion.is_held and self._suspicions.get(id) is suspicion:
            self._spread(id, suspicion)

    def _spread(self, id: NodeId, suspicion: Suspicion, *, is_common: bool = False) -> None:
        suspicion.is_held = False
        slot = self._table.slot_of(id)
        assert slot is not None, "a suspicion outlived its row"
        incarnation = incarnation_of(self._table.belief(slot))
        self._news.tell_verdict(self._told(id, incarnation, suspicion), is_common=is_common)

    def _told(self, id: NodeId, incarnation: int, suspicion: Suspicion) -> list[Suspect | Dead]:
        """What others are told: all accusers at once, so that whoever hears of it late need not wait for confirmations.

        Without corroboration each accuser is news of its own (Lifeguard).
        """
        accusers = list(suspicion.accusers) if self._corroboration.checking_time else [suspicion.latest_accuser]
        verdicts: list[Suspect | Dead] = [Suspect(id, incarnation, each, suspicion.is_stalled) for each in accusers]
        if suspicion.declared_by is not None:
            verdicts.append(Dead(id, incarnation, suspicion.declared_by))
        return verdicts

    # The verdict

    def _arm(self, id: NodeId, suspicion: Suspicion, now: float) -> None:
        suspicion.cancel()
        self._await(id, suspicion, max(suspicion.deadline, now))  # A late confirmation may leave no time at all.

    def _await(self, id: NodeId, suspicion: Suspicion, due: float) -> None:
        suspicion.timer = self._timers.at(due, partial(self._expire, id, suspicion, due))

    def _expire(self, id: NodeId, suspicion: Suspicion, due: float, now: float) -> None:
        """The suspicion was not refuted in time.

        Unless this process slept or hears nobody: then the refutation may be waiting in our own inbox, or be lost on
        our own link, and the suspect gets one more probe interval.
        """
        if id in self._stalls:
            suspicion.timer = self._timers.at(self._stalls.until(id), partial(self._suspect_again, id, suspicion))
            return
        doubt = self._doubt(due, now)
        if doubt is not None:
            self._verdicts.withhold(id, doubt)
            self._await(id, suspicion, now + self._config.probe_interval)
            return
        if suspicion.is_stalled and now < suspicion.started + self._config.stall_tolerance:
            self._wait_for_stalled(id, suspicion, now)
            return
        slot = self._table.slot_of(id)
        assert slot is not None, "a suspicion outlived its row"
        incarnation = incarnation_of(self._table.belief(slot))
        reported_by = suspicion.declared_by
        reason = VerdictReason.SUSPICION_EXPIRED if reported_by is None else VerdictReason.REPORTED
        declared_by = reported_by or self._own.id
        evidence = self._suspicions.evidence(reason, id, now, declared_by=declared_by)
        if not self._deaths.bury(slot, pack(incarnation, MemberState.DEAD), evidence, now):
            self._verdicts.withhold(id, HealthReason.MASS_FAILURE)
            self._await(id, suspicion, now + self._config.probe_interval)
        elif reported_by is None:
            death = Dead(id, incarnation, declared_by)
            told = self._told(id, incarnation, suspicion) if self._corroboration.checking_time else []
            self._news.tell_verdict([*told, death], is_common=True)

    def _wait_for_stalled(self, id: NodeId, suspicion: Suspicion, now: float) -> None:
        """The suspect's machine is there and its process stands still: it gets time to go on."""
        if not suspicion.is_told_stalled:
            suspicion.is_told_stalled = True
            slot = self._table.slot_of(id)
            assert slot is not None, "a suspicion outlived its row"
            evidence = self._suspicions.evidence(VerdictReason.SUSPICION_EXPIRED, id, now)
            self._tell(MemberStalled(self._table.member(slot), evidence))
        self._await(id, suspicion, suspicion.started + self._config.stall_tolerance)

    def _suspect_again(self, id: NodeId, suspicion: Suspicion, now: float) -> None:
        """The stall of a suspect is over: it could not refute during it, so it is given the time now.

        The suspicion may be ours alone, because whoever knew of the stall has dropped it: it is told again.
        """
        if id in self._stalls:  # Another stall took the place of the first.
            suspicion.timer = self._timers.at(self._stalls.until(id), partial(self._suspect_again, id, suspicion))
            return
        self._spread(id, suspicion)
        self._await(id, suspicion, now + suspicion.bounds.least)

    def _doubt(self, due: float, now: float) -> HealthReason | None:
        """Why a suspicion that was due may have expired through our own fault."""
        if self._config.forgive_stalls and now - due > self._config.probe_timeout:
            return HealthReason.STALLED
        if self._contact.is_lost(now - self._config.probe_interval, now):
            return HealthReason.OUT_OF_CONTACT
        return None
