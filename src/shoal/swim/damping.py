"""Members that come and go again and again are not relied on for a while (after RFC 2439, BGP route flap damping).

A member whose link loses most packets, or works for half of the time, refutes every suspicion and every death sooner or
later. Each verdict was right, and together they tell users of a change every few seconds. So each return costs the
member a penalty, which decays with a half-life. Above one limit the member is *damped*: it stays in the view as it is,
but users do not select it, nobody watches others in reliance on it, and its accusations count for nothing. Below
another limit that is over.

A process that crashes and is started again, over and over, does the same to users. So what a run cost goes on to the
next run of its name, and the crash between them costs something too.

Everybody hears of the same returns and judges for himself, so views of damping agree about as quickly as views do.
A member that suffers accuses as many others as it can. What tells the two apart is who accuses: a return counts only
with accusers that have hardly any penalty of their own, and a member is damped only after two different ones. A new run
speaks for itself: it takes two crashes, and no accuser.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import log2
from typing import Final

from shoal.events import MemberDamped, MemberReinstated
from shoal.swim.context import Context
from shoal.swim.timers import Timer
from shoal.types import Member, MemberState, NodeId, Note

__all__ = ["Damping"]

_FROM_SUSPECT: Final = 0.25
"""What a refuted suspicion costs: a lost packet or two may have been enough for it."""
_FROM_CONFIRMED: Final = 0.75
"""What it costs if as many members confirmed it as a suspicion time asks for."""
_FROM_DEAD: Final = 1.0
"""What a return from the dead costs."""
_FROM_CRASH: Final = 0.75
"""What it costs that a newer run took the place of one that had not said goodbye."""
_CEILING: Final = 2.0
"""Times the suppress limit: no penalty is higher, which bounds how long it lasts after the last return."""
_CREDIBLE: Final = 0.5
"""Of the reuse limit. Accusers with a higher penalty are not counted."""
_ACCUSERS: Final = 2
"""Different ones that it takes. With fewer than three members there are not so many, and nobody is damped for them."""
_CRASHES: Final = 2
"""That it takes where nobody accused: one upgrade by force is no loop."""
_MAX_RECORDS: Final = 4096
"""Runs whose returns are remembered; those that returned longest ago are forgotten first."""


@dataclass(slots=True)
class _Record:
    penalty: float = 0.0
    at: float = 0.0
    """When the penalty was that high."""
    returns: int = 0
    accusers: dict[NodeId, None] = field(default_factory=dict)
    """The first credible ones."""
    crashes: int = 0
    timer: Timer | None = None
    """Of the reinstatement; None while the member is not damped."""


class Damping:
    """Who came and went how often, and who is damped for it."""

    __slots__ = ("_config", "_damped", "_records", "_stats", "_table", "_tell", "_timers")

    def __init__(self, context: Context) -> None:
        self._config = context.config
        self._table = context.table
        self._stats = context.stats
        self._timers = context.timers
        self._tell = context.events.append
        #: The run that returned longest ago comes first.
        self._records: dict[NodeId, _Record] = {}
        self._damped: set[NodeId] = set()

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("members that returned", len(self._records), min(_MAX_RECORDS, len(self._table)))
        note("damped members", len(self._damped), len(self._records))

    def __len__(self) -> int:
        return len(self._damped)

    def __contains__(self, id: NodeId) -> bool:
        return id in self._damped

    @property
    def ids(self) -> frozenset[NodeId]:
        """Who is damped."""
        return frozenset(self._damped)

    def penalty(self, id: NodeId, now: float) -> float:
        """What the returns of a run cost it so far, decayed."""
        record = self._records.get(id)
        return 0.0 if record is None else self._decayed(record, now)

    def is_watched(self, id: NodeId, now: float) -> bool:
        """Whether a run refuted an accusation lately, so that everybody shall see what it makes of the next one."""
        return self._was_accused(id) and self.penalty(id, now) >= _FROM_SUSPECT

    def is_spotless(self, id: NodeId, now: float) -> bool:
        """Whether it refuted none lately: half of what one refuted suspicion cost it is gone."""
        return not self._was_accused(id) or self.penalty(id, now) <= _FROM_SUSPECT / 2

    def note_accused(self, id: NodeId, accusers: Iterable[NodeId], now: float) -> None:
        """Remember who accused a run whose suspicion is over."""
        if not self._config.damping:
            return
        credible = [one for one in accusers if self._is_credible(one, now)]
        if credible:
            known = self._renewed(id).accusers
            further = [one for one in credible if one not in known]
            known.update(dict.fromkeys(further[: _ACCUSERS - len(known)]))

    def note_return(self, id: NodeId, was: MemberState, accusers: Iterable[NodeId], now: float) -> None:
        """A run that was suspect or dead has refuted; `accusers` are those of the suspicion, if there was one."""
        accusers = tuple(accusers)
        self.note_accused(id, accusers, now)
        record = self._records.get(id)
        is_credible = was is MemberState.DEAD or any(self._is_credible(one, now) for one in accusers)
        if record is None or not record.accusers or not is_credible:
            return
        is_confirmed = len(accusers) > max(1, self._config.suspicion_confirmations)
        cost = _FROM_DEAD if was is MemberState.DEAD else _FROM_CONFIRMED if is_confirmed else _FROM_SUSPECT
        self._charge(id, record, cost, now)

    def succeed(self, older: Member, id: NodeId, now: float) -> None:
        """A newer run of a member came, and the older went, which had died unless it had said goodbye."""
        was_damped = older.id in self._damped
        former = self._drop(older.id)
        if not self._config.damping or older.state is MemberState.LEFT:
            return
        # Who accused a run that really died was right, and says nothing about its link.
        record = self._renewed(id, former if former is not None and former.penalty else None)
        record.crashes += 1
        self._charge(id, record, _FROM_CRASH, now, was_damped=was_damped)

    def forget(self, id: NodeId) -> None:
        """The run is gone for good."""
        self._drop(id)

    def _drop(self, id: NodeId) -> _Record | None:
        record = self._records.pop(id, None)
        if record is not None and record.timer is not None:
            self._release(id, record)
        return record

    def _charge(self, id: NodeId, record: _Record, cost: float, now: float, *, was_damped: bool = False) -> None:
        ceiling = _CEILING * self._config.damping_suppress
        record.penalty, record.at = min(ceiling, self._decayed(record, now) + cost), now
        record.returns += 1
        if was_damped or id in self._damped or self._may_damp(record):
            self._damp(id, record, now)

    def _renewed(self, id: NodeId, of_older: _Record | None = None) -> _Record:
        """The record of a run, as the one that is needed last."""
        record = self._records.pop(id, None) or of_older or _Record()
        self._records[id] = record
        if len(self._records) > _MAX_RECORDS:
            oldest = next(iter(self._records))
            self._reinstate(oldest)
        return record

    def _was_accused(self, id: NodeId) -> bool:
        record = self._records.get(id)
        return record is not None and bool(record.accusers)

    def _is_credible(self, accuser: NodeId, now: float) -> bool:
        return self.penalty(accuser, now) < _CREDIBLE * self._config.damping_reuse

    def _decayed(self, record: _Record, now: float) -> float:
        return float(record.penalty * 2.0 ** ((record.at - now) / self._config.damping_half_life))

    def _may_damp(self, record: _Record) -> bool:
        is_vouched_for = len(record.accusers) >= _ACCUSERS or record.crashes >= _CRASHES
        if record.penalty < self._config.damping_suppress or not is_vouched_for:
            return False
        most = max(1, int(self._config.damping_max_share * self._table.present_count))
        if len(self._damped) >= most:
            self._stats.dampings_capped += 1
            return False
        return True

    def _damp(self, id: NodeId, record: _Record, now: float) -> None:
        """Damp a run until its penalty has decayed; one that is damped already, for longer."""
        slot = self._table.slot_of(id)
        assert slot is not None, "only known members return"
        if record.timer is not None:
            record.timer.cancel()
        else:
            self._damped.add(id)
            self._stats.dampings += 1
            self._table.set_damped(slot, True)
            accusers = tuple(map(self._table.name_of, record.accusers))
            self._tell(MemberDamped(self._table.member(slot), record.returns, accusers, record.penalty))
        seconds = self._config.damping_half_life * log2(record.penalty / self._config.damping_reuse)
        record.timer = self._timers.at(now + seconds, lambda _now: self._reinstate(id))

    def _reinstate(self, id: NodeId) -> None:
        """Rely on a run again, if it was damped; its returns are forgotten."""
        record = self._records.pop(id)
        if record.timer is not None:
            self._release(id, record)
            slot = self._table.slot_of(id)
            if slot is not None:
                self._tell(MemberReinstated(self._table.member(slot)))

    def _release(self, id: NodeId, record: _Record) -> None:
        assert record.timer is not None
        record.timer.cancel()
        record.timer = None
        self._damped.discard(id)
        slot = self._table.slot_of(id)
        if slot is not None:
            self._table.set_damped(slot, False)
