"""Who is under suspicion right now, and what speaks against them."""

from __future__ import annotations

from collections.abc import KeysView
from dataclasses import replace

from shoal.events import Accusation, Evidence, Verdict, VerdictReason
from shoal.swim.context import Context
from shoal.swim.suspicion import Suspicion
from shoal.types import MemberState, NodeId, Note

__all__ = ["Suspicions"]


class Suspicions:
    """The suspicions that stand, one for each suspect in the table."""

    __slots__ = ("_health", "_open", "_table", "_verdicts", "to_probe")

    def __init__(self, context: Context) -> None:
        self._table = context.table
        self._health = context.health
        self._verdicts = context.verdicts
        self._open: dict[NodeId, Suspicion] = {}
        self.to_probe: list[NodeId] = []
        """Suspects that this node's prober has to look at, and has not yet."""

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("suspicions", len(self._open), self._table.count(MemberState.SUSPECT))
        note("suspects to look at", len(self.to_probe), 0)
        for suspicion in self._open.values():
            suspicion.take_stock(note)

    def __getitem__(self, id: NodeId) -> Suspicion:
        return self._open[id]

    def get(self, id: NodeId) -> Suspicion | None:
        """The suspicion that stands against a run."""
        return self._open.get(id)

    def ids(self) -> KeysView[NodeId]:
        """All suspects."""
        return self._open.keys()

    def slot(self, id: NodeId) -> int:
        """The row of a suspect."""
        slot = self._table.slot_of(id)
        assert slot is not None, "a suspicion outlived its row"
        return slot

    def accusers(self, id: NodeId) -> tuple[NodeId, ...]:
        """Who accuses a run, the first accuser first; nobody, if it is under no suspicion."""
        suspicion = self._open.get(id)
        return () if suspicion is None else tuple(suspicion.accusers)

    def open(self, id: NodeId, suspicion: Suspicion) -> None:
        """Hold a suspicion against a run that is under none."""
        self._open[id] = suspicion
        self.to_probe.append(id)

    def close(self, id: NodeId) -> None:
        """The member refuted, died or left, if it was under suspicion at all."""
        suspicion = self._open.pop(id, None)
        if suspicion is not None:
            suspicion.cancel()

    def evidence(self, reason: VerdictReason, id: NodeId, now: float, declared_by: NodeId | None = None) -> Evidence:
        """What speaks against a run as things stand."""
        suspicion, name_of = self._open.get(id), self._table.name_of
        accusers = {} if suspicion is None else suspicion.accusers
        return Evidence(
            reason=reason,
            accusations=tuple(Accusation(name_of(accuser), at) for accuser, at in accusers.items()),
            declared_by=None if declared_by is None else name_of(declared_by),
            signers=() if suspicion is None else tuple(map(name_of, suspicion.signatures)),
            suspicion=None if suspicion is None else suspicion.time(now),
            probes=() if suspicion is None else tuple(suspicion.probes),
            withheld=self._verdicts.withheld_from(id),
            local_health=self._health.points,
        )

    def verdicts(self, id: NodeId, now: float) -> tuple[Verdict, ...]:
        """The last verdicts about a run's name, the oldest first; one that stands as a suspicion, as it stands now."""
        verdicts = self._verdicts.of(self._table.name_of(id))
        if not verdicts or id not in self._open:
            return verdicts
        latest = verdicts[-1]
        return (*verdicts[:-1], replace(latest, evidence=self.evidence(latest.evidence.reason, id, now)))
