"""The one way to die, and the ways back.

Every removal of a present member passes through here, whatever found it out: `bury` for the dead, `part` for those who
said goodbye, `put_out` for those whose admission was taken back. Each leaves a tombstone, which `acquit` takes away
when the owner outbids it.
"""

from __future__ import annotations

from shoal.events import Evidence, HealthReason, MemberFailed, MemberLeft, Verdict, VerdictReason
from shoal.state.precedence import incarnation_of, pack
from shoal.swim.context import Context
from shoal.swim.damping import Damping
from shoal.swim.own_record import OwnRecord
from shoal.swim.removal_guard import RemovalGuard
from shoal.swim.stalls import Stalls
from shoal.swim.suspicions import Suspicions
from shoal.swim.tombstones import Tombstones
from shoal.types import FailureDomain, MemberState, NodeId, NodeInfo, Note

__all__ = ["Deaths"]


class Deaths:
    """Turns members into tombstones and back."""

    def __init__(self, context: Context, own: OwnRecord, suspicions: Suspicions, stalls: Stalls) -> None:
        self._own = own
        self._config = context.config
        self._table = context.table
        self._stats = context.stats
        self._health = context.health
        self._standing = context.standing
        self._verdicts = context.verdicts
        self._tell = context.events.append
        self._suspicions = suspicions
        self._stalls = stalls
        self.damping = Damping(context)
        self.tombstones = Tombstones(context, self.damping)
        self.guard = RemovalGuard(context)
        self.recent: dict[NodeId, float] = {}
        """When each death was learned, in that order; the gossiper takes out what is no longer recent."""

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("recent deaths", len(self.recent), self._config.max_tombstones)
        self.tombstones.take_stock(note)
        self.damping.take_stock(note)
        self.guard.take_stock(note)

    def bury(self, slot: int, belief: int, evidence: Evidence, now: float, testimony: bytes = b"") -> bool:
        """The one way in which a member becomes dead here; False, and nothing happens, if the guard holds it back.

        Where members sign, `testimony` are the signatures that prove it to others.
        """
        id, was_present = self._table.id(slot), self._table.state(slot).is_present
        is_failure = was_present and evidence.reason is not VerdictReason.REPLACED
        if is_failure and not self.guard.permits(id, FailureDomain.of(self._table.info(slot).tags), now):
            return False
        if was_present and not is_failure:
            self.guard.note_returned(id)
        self.damping.note_accused(id, self._suspicions.accusers(id), now)
        self._lay_down(slot, belief, now, testimony)
        self.recent.pop(id, None)
        self.recent[id] = now
        if len(self.recent) > self._config.max_tombstones:
            del self.recent[next(iter(self.recent))]
        if was_present:
            self._stats.deaths += 1
            member = self._table.member(slot)
            self._verdicts.add(Verdict(member, now, evidence))
            self._tell(MemberFailed(member, evidence))
        return True

    def part(self, slot: int, belief: int, now: float, testimony: bytes = b"") -> None:
        """The member said goodbye, and signed it if members do."""
        was_present = self._table.state(slot).is_present
        self.damping.forget(self._table.id(slot))
        self.guard.note_returned(self._table.id(slot))
        self._lay_down(slot, belief, now, testimony)
        if was_present:
            self._tell(MemberLeft(self._table.member(slot)))

    def put_out(self, slot: int, proof: bytes, now: float) -> None:
        """What admitted the member was taken back, which nothing outbids: the guard has no say in it."""
        id, was_present = self._table.id(slot), self._table.state(slot).is_present
        evidence = self._suspicions.evidence(VerdictReason.REVOKED, id, now)
        self.damping.forget(id)
        self.guard.note_returned(id)
        self._lay_down(slot, pack(incarnation_of(self._table.belief(slot)), MemberState.LEFT), now, proof)
        if was_present:
            member = self._table.member(slot)
            self._verdicts.add(Verdict(member, now, evidence))
            self._tell(MemberFailed(member, evidence))

    def replace(self, slot: int, now: float) -> None:
        """A newer run took the name or the address over, so the old one is dead.

        Nobody is told, because whoever hears of the new run does the same.
        """
        if self._table.state(slot).is_present:
            incarnation = incarnation_of(self._table.belief(slot))
            evidence = self._suspicions.evidence(VerdictReason.REPLACED, self._table.id(slot), now)
            self.bury(slot, pack(incarnation, MemberState.DEAD), evidence, now)

    def remember(self, info: NodeInfo, belief: int, since: float, testimony: bytes = b"") -> None:
        """Take over the tombstone of a run that was never in this table."""
        slot = self._table.add(info, belief, since)
        if testimony:
            self._table.set_testimony(slot, testimony)
        self.tombstones.add(info.id, since)

    def acquit(self, slot: int, now: float) -> None:
        """The owner outbid what was held against it, if anything was: a suspicion or a death."""
        id, was, accusers = (
            self._table.id(slot),
            self._table.state(slot),
            self._suspicions.accusers(self._table.id(slot)),
        )
        if was is not MemberState.ALIVE:
            self.guard.note_returned(id)
            self.damping.note_return(id, was, accusers, now)
        if was is MemberState.DEAD:
            self._standing.note_returned(id, now)
        if self._config.trust_contact and accusers == (self._own.id,):
            self._health.worsen(HealthReason.ACCUSATION_REFUTED)
        self._verdicts.note_refuted(self._table.name(slot), id, now)
        self._verdicts.settle(id)
        self._suspicions.close(id)
        self.tombstones.discard(id)

    def _lay_down(self, slot: int, belief: int, now: float, testimony: bytes) -> None:
        id = self._table.id(slot)
        self._suspicions.close(id)
        self._stalls.end(id)
        self._verdicts.settle(id)
        self._table.set_belief(slot, belief, now)
        if testimony:
            self._table.set_testimony(slot, testimony)
        self.tombstones.add(id, now)
