"""Whose signatures it takes to hold a member dead, where members sign (docs/decisions/0033).

A death takes `death_signatures` of those that could sign, or all of them if they are fewer: the members that have been
alive here without a break for a while, and this node itself. This node signs only what it found out itself. So nobody
who holds fewer keys than `death_signatures` talks it into a death, however few others it is made to see: the smaller
its view, the less it believes without a finding of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from shoal.swim.context import Context
from shoal.swim.damping import Damping
from shoal.swim.news import News
from shoal.swim.own_record import OwnRecord
from shoal.swim.suspicion import MOST_SIGNATURES, Suspicion
from shoal.types import NodeId
from shoal.wire.messages import Witness
from shoal.wire.witnesses import MAX_WITNESSES, WITNESS_SIZE

__all__ = ["Witnesses"]

_ROOM: Final = 57
"""Bytes of a signed death without its signatures, and by how many a ping is longer than the shortest packet."""


class Witnesses:
    """Checks signatures, and says when there are enough."""

    def __init__(self, context: Context, own: OwnRecord, damping: Damping, news: News) -> None:
        config = context.config
        self._table = context.table
        self._trust = context.trust
        self._own = own
        self._damping = damping
        self._wanted = config.death_signatures
        self._standing = context.standing
        told = max(config.death_signatures, config.suspicion_confirmations + 1)
        self._most_told = max(1, min(told, MAX_WITNESSES, (news.room - _ROOM) // WITNESS_SIZE))

    def sign(self, id: NodeId, incarnation: int) -> tuple[Witness, ...]:
        """This node's own word that a run does not answer; nothing where members do not sign."""
        if self._trust.is_credulous:
            return ()
        return (Witness(self._own.id, self._trust.sign_accusation(id, incarnation, self._own.id)),)

    def vouched(
        self, id: NodeId, incarnation: int, witnesses: Iterable[Witness], known: Mapping[NodeId, bytes]
    ) -> list[Witness] | None:
        """Those of the witnesses against a run that are present members, and not `known`; None if one is forged."""
        fresh: list[Witness] = []
        for witness in witnesses:
            slot = self._table.slot_of(witness.id)
            if slot is None or witness.id == id or witness.id in known or witness.id in self._damping:
                continue
            if not self._table.is_present_at(slot):
                continue
            if not self._trust.has_accused(self._table.info(slot), id, incarnation, witness.signature):
                return None
            fresh.append(witness)
        return fresh

    def keep(self, suspicion: Suspicion, fresh: Iterable[Witness], now: float) -> bool:
        """Add signatures to a suspicion; whether those that are told on change by that."""
        before, signatures = suspicion.told, suspicion.signatures
        signatures.update((witness.id, witness.signature) for witness in fresh)
        while len(signatures) > MOST_SIGNATURES:
            useless = next((signer for signer in signatures if not self._may_testify(signer, now)), None)
            del signatures[useless or next(reversed(signatures))]
        self._choose_told(suspicion, now)
        return suspicion.told != before

    def suffice(self, id: NodeId, suspicion: Suspicion, now: float) -> bool:
        """Whether the signatures of a suspicion are enough to hold the run dead."""
        self._choose_told(suspicion, now)
        credible = sum(self._may_testify(signer, now) for signer in suspicion.signatures)
        return credible >= self._wanted or credible >= self._able(id, now)

    def _choose_told(self, suspicion: Suspicion, now: float) -> None:
        """Tell others of the signatures that count here first, as many as it takes."""
        ordered = sorted(suspicion.signatures, key=lambda signer: not self._may_testify(signer, now))
        suspicion.told = tuple(Witness(signer, suspicion.signatures[signer]) for signer in ordered[: self._most_told])

    def _may_testify(self, id: NodeId, now: float) -> bool:
        if id == self._own.id:
            return True
        return self._standing.is_established(self._table.slot_of(id), now)

    def _able(self, accused: NodeId, now: float) -> int:
        """How many could testify against a run: this node, and others, of whom no more are counted than it takes."""
        table, able = self._table, 1
        for slot in table.ring:
            if able >= self._wanted:
                break
            able += self._standing.is_established(slot, now) and table.id(slot) not in (accused, self._own.id)
        return able
