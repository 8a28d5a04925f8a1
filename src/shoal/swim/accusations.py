"""How accusations become suspicions (SWIM §4.2, Lifeguard §IV-B); what becomes of these is for `expiry`."""

from __future__ import annotations

from collections.abc import Sequence

from shoal.events import (
    MemberJoined,
    MemberRecovered,
    MemberSuspected,
    ProbeReport,
    StreamEnd,
    Verdict,
    VerdictReason,
)
from shoal.state.precedence import incarnation_of, pack, state_of, supersedes
from shoal.swim.announcements import Announcements
from shoal.swim.claims import Claims
from shoal.swim.context import Context
from shoal.swim.corroboration import checking_time
from shoal.swim.deaths import Deaths
from shoal.swim.disputes import Disputes
from shoal.swim.expiry import Expiry
from shoal.swim.news import News
from shoal.swim.own_record import OwnRecord
from shoal.swim.probe_order import ProbeOrder
from shoal.swim.stalls import Stalls
from shoal.swim.stats import Drop
from shoal.swim.suspicion import Suspicion, suspicion_bounds
from shoal.swim.suspicions import Suspicions
from shoal.swim.witnesses import Witnesses
from shoal.types import MemberState, NodeId
from shoal.wire.messages import Dead, Left, Suspect, Witness
from shoal.wire.witnesses import read_testimony, write_witnesses

__all__ = ["Accusations"]


class Accusations:
    """Takes in accusations and reported deaths, our own and those of others."""

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
        witnesses: Witnesses,
        disputes: Disputes,
        announcements: Announcements,
        expiry: Expiry,
    ) -> None:
        self._config = context.config
        self._dialect = context.dialect
        self._table = context.table
        self._stats = context.stats
        self._verdicts = context.verdicts
        self._trust = context.trust
        self._standing = context.standing
        self._tell = context.events.append
        self._own = own
        self._claims = claims
        self._suspicions = suspicions
        self._deaths = deaths
        self._stalls = stalls
        self._order = order
        self._news = news
        self._witnesses = witnesses
        self._disputes = disputes
        self._announcements = announcements
        self._expiry = expiry

    # What this node found out

    def accuse(self, id: NodeId, incarnation: int, probe: ProbeReport, now: float) -> None:
        """Our own probe of a member failed; `incarnation` is what it had when the probe began.

        A member that has refuted meanwhile is alive, and the accusation stale.
        """
        if self._table.is_present(id):
            is_stalled = probe.stream_end is StreamEnd.SILENT
            signed = self._witnesses.sign(id, incarnation)
            self.hear_suspicion(id, incarnation, self._own.id, now, probe, is_stalled=is_stalled, witnesses=signed)
            if probe.stream_end is StreamEnd.REFUSED:
                self._note_refused(id, now)

    def is_ours(self, id: NodeId) -> bool:
        """Whether this node itself is among the accusers of a suspect."""
        suspicion = self._suspicions.get(id)
        return suspicion is not None and (self._own.id in suspicion.accusers or self._own.id in suspicion.signatures)

    def is_unconfirmed(self, id: NodeId) -> bool:
        """Whether a suspect would be held dead by now, had enough members signed that it does not answer."""
        suspicion = self._suspicions.get(id)
        return suspicion is not None and suspicion.is_unconfirmed

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
                return self._dialect.encode_update(self._news_of(id, incarnation_of(belief), suspicion))
            case MemberState.DEAD:
                witnesses = read_testimony(self._table.testimony(slot))
                return self._dialect.encode_update(Dead(id, incarnation_of(belief), self._own.id, witnesses))
            case MemberState.LEFT if proof := self._trust.revocation_of(self._table.info(slot)):
                return self._dialect.encode_update(Left(id, incarnation_of(belief), proof))
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
        witnesses: Sequence[Witness] = (),
        confirmers: Sequence[bytes] = (),
        age: float = 0.0,
    ) -> None:
        """A member is accused of not answering, for `age` seconds at least, and others than the accuser confirmed it.

        The confirmers are given by the heads of their ids. `is_stalled` says that its machine accepted a connection.
        """
        slot = self._accused(id, incarnation, accuser, now)
        if slot is None:
            return
        belief, incoming = self._table.belief(slot), pack(incarnation, MemberState.SUSPECT)
        if not self._trust.is_credulous:
            if not self._hear_signed(slot, incoming, witnesses, now, probe, is_stalled=is_stalled, age=age):
                self._stats.drop(Drop.UNSIGNED_ACCUSATION)
        elif supersedes(incoming, belief):
            credible = self._credible(confirmers, now)
            self._suspect(slot, incoming, accuser, now, probe, is_stalled=is_stalled, confirmers=credible, age=age)
        elif incoming == belief:
            suspicion, is_ours = self._suspicions[id], accuser == self._own.id
            accusers = () if suspicion.is_settled else (accuser, *self._credible(confirmers, now))
            counted = [suspicion.confirm(each, now) for each in accusers]
            self._confirm(id, now, probe, counts=any(counted), is_ours=is_ours, is_stalled=is_stalled, age=age)
        else:
            self._stats.drop(Drop.STALE)

    def _credible(self, confirmers: Sequence[bytes], now: float) -> list[NodeId]:
        """Those whose word counts."""
        present, damping = self._table.present_with(confirmers), self._deaths.damping
        return [each for each in present if each not in damping and not self._is_estranged(each, now)]

    def _is_estranged(self, accuser: NodeId, now: float) -> bool:
        """Whether what is said may come from the other side of a partition, on which everybody here was held dead.

        Where members sign, a death needs the signatures of established ones, whatever others say.
        """
        return self._config.doubt_deaths and self._trust.is_credulous and self._standing.is_estranged(accuser, now)

    def hear_death(
        self, id: NodeId, incarnation: int, accuser: NodeId, now: float, witnesses: Sequence[Witness] = ()
    ) -> None:
        """A member is declared dead by another."""
        slot = self._accused(id, incarnation, accuser, now)
        if slot is None:
            return
        belief = pack(incarnation, MemberState.DEAD)
        if not supersedes(belief, self._table.belief(slot)):
            self._stats.drop(Drop.STALE)
        elif not (self._trust.is_credulous or self._is_proved(slot, incarnation, accuser, witnesses, now)):
            self._stats.drop(Drop.UNPROVED_DEATH)
        elif self._config.doubt_deaths and self._table.is_present(id):
            self._doubt_death(slot, incarnation, accuser, now)
        else:
            evidence = self._suspicions.evidence(VerdictReason.REPORTED, id, now, declared_by=accuser)
            signed = self._signed_against(id)
            if self._deaths.bury(slot, belief, evidence, now, write_witnesses(signed)):
                self._news.tell_verdict([Dead(id, incarnation, accuser, signed)])
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
        elif self._trust.is_credulous and accuser in self._deaths.damping:
            self._stats.drop(Drop.DAMPED_ACCUSER)
            return None
        elif self._is_estranged(accuser, now):
            self._stats.drop(Drop.ESTRANGED_ACCUSER)
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
        witnesses: Sequence[Witness] = (),
        confirmers: Sequence[NodeId] = (),
        age: float = 0.0,
    ) -> None:
        table = self._table
        id, address, was = table.id(slot), table.address(slot), table.state(slot)
        if not self._claims.may_take_address(address, id, table.name(slot)):
            return
        self._deaths.acquit(slot, now)
        self._claims.clear_address(address, id, now)
        table.set_belief(slot, belief, now)
        suspicion = self._open(id, accuser, now, probe, is_stalled=is_stalled)
        if witnesses:
            self._count(suspicion, witnesses, now)
        for each in confirmers:
            suspicion.confirm(each, now)
        self._backdate(suspicion, age, now)
        self._expiry.arm(id, suspicion, now)
        self._announcements.begin(id, suspicion, now)
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
        self, id: NodeId, accuser: NodeId, now: float, probe: ProbeReport | None, *, is_stalled: bool
    ) -> Suspicion:
        members = self._table.present_count
        suspicion = Suspicion(accuser, suspicion_bounds(self._config, members), now, members=members)
        if is_stalled and self._config.stall_tolerance > 0:
            suspicion.tolerate(self._config.stall_tolerance)
        if probe is not None:
            suspicion.add_probe(probe)
        self._suspicions.open(id, suspicion)
        self._stats.suspicions += 1
        return suspicion

    def _backdate(self, suspicion: Suspicion, age: float, now: float) -> bool:
        """Count a suspicion from when its first accuser began it; whether that is news.

        So it ends at nearly the same moment everywhere. What few have confirmed counts as no older than a check takes,
        and so does what should be over. Of accusers that came back a moment ago none is believed: their accusation may
        come from the other side of a partition, and be news to the member too.
        """
        if not self._config.suspicion_ages:
            return False
        if not suspicion.is_settled or age > suspicion.bounds.least:
            age = min(age, checking_time(self._config))
        if now - age >= suspicion.started:  # Most that is heard is a copy of what is known.
            return False
        accusers = map(self._table.slot_of, suspicion.accusers)
        return all(self._standing.is_established(slot, now) for slot in accusers) and suspicion.backdate(now - age)

    def _confirm(
        self,
        id: NodeId,
        now: float,
        probe: ProbeReport | None,
        *,
        counts: bool,
        is_ours: bool,
        is_stalled: bool,
        age: float,
    ) -> None:
        """One that `counts` shortens the suspicion, and the first few are passed on (Lifeguard §IV-B)."""
        suspicion = self._suspicions[id]
        if probe is not None:
            suspicion.add_probe(probe)
        is_news = is_stalled and not suspicion.is_stalled and self._config.stall_tolerance > 0
        if is_news:
            suspicion.tolerate(self._config.stall_tolerance)
        is_older = self._backdate(suspicion, age, now)
        if not (counts or is_news or is_older):
            self._stats.drop(Drop.STALE)
            return
        self._expiry.arm(id, suspicion, now)
        if counts or is_news:
            self._announcements.go_on(id, suspicion, now, is_ours=is_ours, is_news=is_news)

    # Where members sign

    def _hear_signed(
        self,
        slot: int,
        belief: int,
        witnesses: Sequence[Witness],
        now: float,
        probe: ProbeReport | None = None,
        *,
        is_stalled: bool = False,
        age: float = 0.0,
    ) -> bool:
        """Members say that one does not answer; False if no present one signed it, or one did not who is named."""
        id, held = self._table.id(slot), self._table.belief(slot)
        is_new = supersedes(belief, held)
        if not is_new and belief != held:
            self._stats.drop(Drop.STALE)
            return True
        suspicion = None if is_new else self._suspicions[id]
        known = {} if suspicion is None else suspicion.signatures
        fresh = self._witnesses.vouched(id, incarnation_of(belief), witnesses, known)
        if fresh is None or not witnesses:
            return False
        if suspicion is not None:
            counts, is_ours = self._count(suspicion, fresh, now), any(each.id == self._own.id for each in fresh)
            self._confirm(id, now, probe, counts=counts, is_ours=is_ours, is_stalled=is_stalled, age=age)
        elif fresh:
            accuser = fresh[0].id
            self._suspect(slot, belief, accuser, now, probe, is_stalled=is_stalled, witnesses=fresh, age=age)
        return suspicion is not None or bool(fresh)

    def _count(self, suspicion: Suspicion, fresh: Sequence[Witness], now: float) -> bool:
        """Take in signatures; whether that is worth telling."""
        if not fresh:
            return False
        is_told = self._witnesses.keep(suspicion, fresh, now)
        counted = [suspicion.confirm(witness.id, now) for witness in fresh]
        return is_told or any(counted)

    def _is_proved(
        self, slot: int, incarnation: int, accuser: NodeId, witnesses: Sequence[Witness], now: float
    ) -> bool:
        """Whether enough members signed a reported death. Those who did accuse; and the member is told what is said."""
        id = self._table.id(slot)
        if not self._table.is_present_at(slot):
            return False
        suspicion = self._suspicions.get(id)
        if (
            suspicion is not None
            and suspicion.declared_by is not None
            and all(witness.id in suspicion.signatures for witness in witnesses)
        ):
            return True  # As most are: one that we have heard of.
        self._hear_signed(slot, pack(incarnation, MemberState.SUSPECT), witnesses, now)
        suspicion = self._suspicions.get(id)
        if suspicion is not None and self._witnesses.suffice(id, suspicion, now):
            return True
        self._disputes.add(id, now, self._dialect.encode_update(Dead(id, incarnation, accuser)))
        return False

    def _signed_against(self, id: NodeId) -> Sequence[Witness]:
        """The signatures with which a suspect is held dead, if members sign."""
        suspicion = self._suspicions.get(id)
        return () if suspicion is None else suspicion.told

    def _news_of(self, id: NodeId, incarnation: int, suspicion: Suspicion) -> Suspect:
        """A suspicion as it is told on: it names its first accuser, and so is no further one."""
        return Suspect(id, incarnation, suspicion.first_accuser, suspicion.is_stalled, suspicion.told)

    def _note_refused(self, id: NodeId, now: float) -> None:
        """The suspect's machine says that nobody listens: whatever stood still there is gone."""
        suspicion = self._suspicions.get(id)
        if suspicion is not None and suspicion.is_stalled:
            suspicion.is_stalled = False
            self._expiry.arm(id, suspicion, now)

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
        self._expiry.arm(id, suspicion, now)
        # Whoever has all confirmations is about to find out without being told.
        self._announcements.spread(id, suspicion, is_common=suspicion.is_settled)
