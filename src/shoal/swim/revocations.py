"""Members whose admission the authority took back, where nodes have identities (docs/decisions/0042).

The proof travels as a goodbye that the authority signed in the place of the member.
"""

from __future__ import annotations

from shoal.events import Mistrust
from shoal.state.precedence import incarnation_of
from shoal.swim.context import Context
from shoal.swim.deaths import Deaths
from shoal.swim.gossip_queue import Priority
from shoal.swim.news import News
from shoal.swim.own_record import OwnRecord
from shoal.swim.vouching import Vouching
from shoal.types import MemberState, NodeId, NodeInfo
from shoal.wire.messages import Left

__all__ = ["Revocations"]


class Revocations:
    """Puts such members out, keeps them out, and tells everybody."""

    __slots__ = ("_deaths", "_news", "_own", "_table", "_trust", "_vouching", "_warned_of")

    def __init__(self, context: Context, own: OwnRecord, deaths: Deaths, vouching: Vouching, news: News) -> None:
        self._table = context.table
        self._trust = context.trust
        self._own = own
        self._deaths = deaths
        self._vouching = vouching
        self._news = news
        self._warned_of: NodeId | None = None

    def put_out_revoked(self, now: float) -> None:
        """Put out the members, dead ones too, of whom this node's trust has learned that they are admitted no more."""
        dead = (self._table.slot_of(id) for id in self._deaths.tombstones)
        for slot in [*self._table.ring, *(slot for slot in dead if slot is not None)]:
            if self._table.id(slot) == self._own.id or self._table.state(slot) is MemberState.LEFT:
                continue
            proof = self._trust.revocation_of(self._table.info(slot))
            if proof:
                self._put_out(slot, proof, now)

    def is_put_out(self, slot: int, proof: bytes, now: float) -> bool:
        """Whether a goodbye is none of its member's but the end of its admission, whatever its incarnation."""
        if self._table.state(slot) is MemberState.LEFT:
            return False
        info = self._table.info(slot)
        was_known = bool(self._trust.revocation_of(info))
        if not self._trust.has_revoked(info, proof):
            return False
        self._put_out(slot, proof, now)
        if not was_known:  # Others may have joined with the same token.
            self.put_out_revoked(now)
        return True

    def is_about_us(self, proof: bytes) -> bool:
        """Whether a goodbye in our name is the end of our own admission; the user is told."""
        if not self._trust.has_revoked(self._own.info, proof):
            return False
        self._vouching.report(self._own.info, Mistrust.REVOKED)
        return True

    def is_own_word(self, info: NodeInfo, incarnation: int) -> bool:
        """Whether a record may be taken in. Who tells of a member whose admission was taken back is told that it was.

        One such answer at a time: whoever was put out could go on inventing runs of itself.
        """
        if self._vouching.is_own_word(info, incarnation):
            return True
        proof = self._trust.revocation_of(info)
        if proof and (self._warned_of is None or not self._news.is_waiting(self._warned_of)):
            self._warned_of = info.id
            self._news.tell(Left(info.id, incarnation, proof), Priority.HIGH)
        return False

    def _put_out(self, slot: int, proof: bytes, now: float) -> None:
        self._deaths.put_out(slot, proof, now)
        goodbye = Left(self._table.id(slot), incarnation_of(self._table.belief(slot)), proof)
        self._news.tell(goodbye, Priority.CRITICAL)
