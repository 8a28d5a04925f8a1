"""Whether the cluster has come apart: many members lost together, rather than one after the other.

A partition and the loss of a rack look the same from one side, so this is a suspicion, told with its evidence; nobody
is treated otherwise because of it. What follows is decided by a strategy, if one is configured, once the view settled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from shoal.config import ClusterConfig, PartitionStrategy
from shoal.events import (
    Event,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberRecovered,
    MemberSuspected,
    Partition,
    PartitionDecided,
    PartitionDecision,
    PartitionHealed,
    PartitionRuling,
    PartitionSuspected,
    VerdictReason,
)
from shoal.swim.context import Context
from shoal.swim.partition.settling import Settled, Settling
from shoal.swim.partition.situation import Situation
from shoal.swim.partition.strategies import (
    DownAll,
    KeepMajority,
    KeepOldest,
    KeepReferee,
    Leaseholder,
    StaticQuorum,
    Strategy,
    decide,
)
from shoal.swim.timers import Timer
from shoal.swim.view_changes import whole_domains
from shoal.types import Member, NodeId, NodeInfo, Note

__all__ = ["PartitionWatch", "strategy_of"]

_NO_SILENCE: Final = (VerdictReason.REPLACED, VerdictReason.REVOKED)
"""Ends of members that say nothing of the network."""
_FORGOTTEN: Final = 2
"""Times the rows of the table: of so many who are silent, most are in it no more."""
_PERSISTING: Final = 2.0
"""Probe intervals for which a suspect must have kept silent to count as lost."""
_LEAST_LOST: Final = 2
_LEAST_DOMAIN: Final = 3
"""Members of a failure domain that is lost as a whole: with fewer, one machine may just have died."""


def strategy_of(config: ClusterConfig) -> Strategy | None:
    """The configured strategy; None for none."""
    role = config.partition_role
    match config.partition_strategy:
        case PartitionStrategy.NONE:
            return None
        case PartitionStrategy.KEEP_MAJORITY:
            return KeepMajority(role)
        case PartitionStrategy.STATIC_QUORUM:
            return StaticQuorum(config.partition_quorum, role)
        case PartitionStrategy.KEEP_OLDEST:
            return KeepOldest(config.partition_down_if_alone, role)
        case PartitionStrategy.KEEP_REFEREE:
            return KeepReferee(config.partition_referee, role)
        case PartitionStrategy.DOWN_ALL:
            return DownAll(role)
        case PartitionStrategy.LEASE:
            return Leaseholder(role)


def _thresholds(config: ClusterConfig) -> tuple[int, float]:
    """How many members, and which fraction of all, must be lost: fewer where a side of one may be told to stay."""
    match config.partition_strategy:
        case PartitionStrategy.LEASE:
            return 1, config.partition_share
        case PartitionStrategy.KEEP_OLDEST if not config.partition_down_if_alone:
            return 1, 0.0
        case _:
            return _LEAST_LOST, config.partition_share


class PartitionWatch:
    """Sees who goes and who comes back, and tells of a partition and of its end."""

    def __init__(self, context: Context, own_id: Callable[[], NodeId], damped: Callable[[], frozenset[NodeId]]) -> None:
        self._config = context.config
        self._table = context.table
        self._timers = context.timers
        self._tell = context.events.append
        self._own_id = own_id
        self._damped = damped
        self._strategy = strategy_of(context.config)
        self._least_lost, self._least_share = _thresholds(context.config)
        #: Since when members are silent that are not back, by name: a new run of one is back too. The first first.
        self._silent: dict[str, float] = {}
        self._timer: Timer | None = None
        self.current: Partition | None = None
        """The partition that is suspected now."""
        #: Of the current partition: everybody who was ever lost in it, whether its view has settled, the last return.
        self._members: set[str] = set()
        #: Whom the decision was about.
        self._ruled_on: frozenset[str] = frozenset()
        self._settling = Settling(1, 0.0)
        self._last_return = 0.0

    @property
    def awaits_returns(self) -> bool:
        """Whether somebody is silent, whose return must be seen."""
        return bool(self._silent)

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("silent members", len(self._silent), _FORGOTTEN * self._table.peak)

    def see(self, event: Event, now: float) -> None:
        """Something was told to the user."""
        match event:
            case MemberFailed(evidence=evidence) if evidence.reason in _NO_SILENCE:
                self._note_back(event.member.name, now)
            case MemberSuspected() | MemberFailed():
                if event.member.name not in self._silent:
                    self._silent[event.member.name] = now
                    if len(self._silent) > _FORGOTTEN * len(self._table):
                        self._drop_forgotten()
                    self._plan(now)
            case MemberJoined() | MemberRecovered() | MemberLeft():
                self._note_back(event.member.name, now)

    def rule(self, ruling: PartitionRuling, why: str) -> None:
        """The lease that the decision asked for was had, or not."""
        if self.current is not None and self.current.decision is not None:
            self._tell_decision(replace(self.current.decision, ruling=ruling, why=why))

    def _note_back(self, name: str, now: float) -> None:
        if self._silent.pop(name, None) is not None and name in self._members:
            self._last_return = now
            self._settling.note_change(now)
            self._plan(now)

    def _plan(self, now: float) -> None:
        if self._timer is None:
            self._timer = self._timers.at(now + self._config.probe_interval, self._look)

    def _look(self, now: float) -> None:
        """Once per probe interval while anything is still to be found out."""
        self._timer = None
        self._drop_forgotten()
        if self.current is None:
            self._suspect(now)
        else:
            self._follow(self.current, now)
        if self._is_pending(now):
            self._plan(now)

    def _drop_forgotten(self) -> None:
        for name in [name for name in self._silent if self._table.slot_named(name) is None]:
            del self._silent[name]

    def _is_pending(self, now: float) -> bool:
        if any(now - silent <= self._config.partition_window for silent in self._silent.values()):
            return True
        is_undecided = self._strategy is not None and self.current is not None and self.current.decision is None
        return is_undecided or (self.current is not None and now - self._last_return <= self._pause)

    @property
    def _pause(self) -> float:
        return _PERSISTING * self._config.probe_interval

    # Its life

    def _suspect(self, now: float) -> None:
        newest = max(self._silent.values(), default=now)
        if now - newest < self._pause:
            return  # They are still being lost: tell of all at once.
        lost = self._lost(newest - self._config.partition_window, now)
        if self._may_be_much(lost) and self._is_much(partition := self._partition(lost)):
            self._begin(partition, now)

    def _begin(self, partition: Partition, now: float) -> None:
        self.current = partition
        self._members.update(member.name for member in partition.lost)
        self._settling = Settling(partition.present + len(partition.lost), now)
        self._tell(PartitionSuspected(partition))

    def _follow(self, before: Partition, now: float) -> None:
        lost = self._lost(before.since, now)
        if {member.name for member in lost} - self._members:
            self._members.update(member.name for member in lost)
            self._settling.note_change(now)
        is_at_rest = now - self._last_return >= self._pause
        if not lost or (is_at_rest and 2 * len(lost) <= len(self._members)):
            self._close(before, lost, now)
            return
        decision = before.decision
        self.current = replace(self._partition(lost), since=before.since, decision=decision)
        if decision is not None and decision.ruling is not PartitionRuling.STAND_DOWN and self._is_cut_again(now):
            self._begin(replace(self.current, decision=None), now)
        elif decision is None and self._strategy is not None:
            self._decide(self._strategy, now)

    def _is_cut_again(self, now: float) -> bool:
        """Whether those who were to live on have come apart too, so that the ruling may hold on two sides.

        One further loss is enough where it is a large share: it may be on a side with members of the other.
        """
        newest = max(self._silent.values(), default=now)
        if now - newest < self._pause:
            return False
        recent = self._lost(newest - self._config.partition_window, now)
        further = tuple(member for member in recent if member.name not in self._ruled_on)
        return bool(further) and self._partition(further).share >= self._least_share

    def _close(self, partition: Partition, lost: tuple[Member, ...], now: float) -> None:
        """Most are back; or have left for good, of which their own events told."""
        gone = {member.name for member in lost}
        slots = [self._table.slot_named(name) for name in sorted(self._members - gone)]
        back = [self._table.member(slot) for slot in slots if slot is not None]
        returned = tuple(member for member in back if member.state.is_present)
        self.current = None
        self._members = set()
        if returned:
            self._tell(PartitionHealed(returned, lost, now - partition.since))
        if self._strategy is not None and self._may_be_much(lost) and self._is_much(rest := self._partition(lost)):
            self._begin(rest, now)  # Who is back may have been told otherwise than who was here.
            return
        for name in gone:
            del self._silent[name]

    def _decide(self, strategy: Strategy, now: float) -> None:
        match self._settling.at(now):
            case Settled.STABLE:
                self._ruled_on = frozenset(self._members)
                self._tell_decision(self._cautious(decide(strategy, self._situation())))
            case Settled.UNSTABLE:
                why = "the view of the partition has changed for too long to be sure of anything"
                self._tell_decision(PartitionDecision(strategy.name, PartitionRuling.STAND_DOWN, why))
            case Settled.NOT_YET:
                pass

    def _cautious(self, decision: PartitionDecision) -> PartitionDecision:
        """Nobody lives on whose loss is no partition to the others: they are asked nothing, and live on."""
        assert self.current is not None
        if decision.ruling is PartitionRuling.STAND_DOWN or self._is_much(self._as_seen_by_the_lost(self.current)):
            return decision
        members = self.current.present + len(self.current.lost)
        why = f"{self.current.present} of {members} members are on this side: to the others they may just have crashed"
        return PartitionDecision(decision.strategy, PartitionRuling.STAND_DOWN, why)

    def _as_seen_by_the_lost(self, partition: Partition) -> Partition:
        gone = {member.id for member in partition.lost}
        here = tuple(one for one in self._table.members() if one.state.is_present and one.id not in gone)
        return replace(
            partition,
            lost=here,
            present=len(partition.lost),
            domains=whole_domains(here, (member.tags for member in partition.lost)),
        )

    def _tell_decision(self, decision: PartitionDecision) -> None:
        assert self.current is not None
        self.current = replace(self.current, decision=decision)
        self._tell(PartitionDecided(self.current, decision))

    def _situation(self) -> Situation:
        """A clean cut, seen from here; the damped are reached by some and not by others, and count for neither side."""
        assert self.current is not None
        own, lost = self._own_id(), {member.id for member in self.current.lost}
        left_out = self._damped() - lost - {own}
        members = [
            NodeInfo(member.name, member.id, member.address, member.tags)
            for member in self._table.members()
            if (member.state.is_present or member.id in lost) and member.id not in left_out
        ]
        return Situation.of_lost(own, members, lost)

    # Who is lost

    def _lost(self, since: float, now: float) -> tuple[Member, ...]:
        """Who fell silent after `since`, and has been so for long enough to be missed."""
        slots = [
            self._table.slot_named(name)
            for name, silent in self._silent.items()
            if since <= silent <= now - self._pause
        ]
        return tuple(self._table.member(slot) for slot in slots if slot is not None)

    def _partition(self, lost: tuple[Member, ...]) -> Partition:
        ids = {member.id for member in lost}
        times = [self._silent[member.name] for member in lost]
        present = [one for one in self._table.members() if one.state.is_present and one.id not in ids]
        return Partition(
            since=min(times),
            lost=lost,
            present=len(present),
            rate=len(lost) / max(self._config.probe_interval, max(times) - min(times)),
            domains=whole_domains(lost, (member.tags for member in present)),
        )

    def _may_be_much(self, lost: tuple[Member, ...]) -> bool:
        """Whether it is worth to look at everybody, which takes long where there are many."""
        if len(lost) >= self._least_lost:
            present = self._table.present_count - sum(self._table.is_present(member.id) for member in lost)
            if len(lost) / (present + len(lost)) >= self._least_share:
                return True
        return bool(whole_domains(lost, (), _LEAST_DOMAIN))

    def _is_much(self, partition: Partition) -> bool:
        if len(partition.lost) >= self._least_lost and partition.share >= self._least_share:
            return True
        domains = whole_domains(partition.lost, (), _LEAST_DOMAIN)
        return any(domain in domains for domain in partition.domains)
