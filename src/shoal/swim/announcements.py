"""Who is told of an accusation, and when.

An accuser has its accusation checked (`corroboration`): until enough have confirmed it, those who know of it *hold* it.
Then it is told to everybody, with all that it rests on.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from shoal.state.precedence import incarnation_of
from shoal.swim.context import Context
from shoal.swim.corroboration import Corroboration
from shoal.swim.news import News
from shoal.swim.own_record import OwnRecord
from shoal.swim.suspicion import Suspicion
from shoal.swim.suspicions import Suspicions
from shoal.types import NodeId
from shoal.wire.messages import Dead, Suspect

__all__ = ["PATIENCE", "Announcements"]

PATIENCE: Final = 1.25
"""For how many times as long as checking takes, who accuses waits for what comes of it: others may be somewhat late."""


_MOST_CONFIRMERS: Final = 7
"""Confirmations that are told together, the latest: with the first accuser and the death they fit in any datagram."""


class Announcements:
    """Holds accusations back, and tells them."""

    def __init__(
        self, context: Context, own: OwnRecord, suspicions: Suspicions, news: News, corroboration: Corroboration
    ) -> None:
        self._dialect = context.dialect
        self._table = context.table
        self._timers = context.timers
        self._trust = context.trust
        self._own = own
        self._suspicions = suspicions
        self._news = news
        self._corroboration = corroboration
        self.unchecked: list[NodeId] = []
        """Whom this node accused since the prober last looked, and others have to check."""

    def age_of(self, id: NodeId, accuser: NodeId) -> float:
        """Seconds for which a suspect had the chance to refute when this node hears of an accusation.

        What is told to everybody was checked before.
        """
        return 0.0 if self._checks(id, accuser) else self._corroboration.checking_time

    def begin(self, id: NodeId, suspicion: Suspicion, now: float) -> None:
        """A suspicion is new: tell everybody, unless it is us who have to check it, or to have it checked."""
        if not self._corroboration.checking_time or not self._checks(id, suspicion.first_accuser):
            self.spread(id, suspicion)
            return
        suspicion.is_held = True
        if suspicion.first_accuser == self._own.id:
            self._have_checked(id, suspicion, now)

    def go_on(self, id: NodeId, suspicion: Suspicion, now: float, *, is_ours: bool, is_news: bool) -> None:
        """Somebody confirmed, we ourselves if `is_ours`; `is_news` says that it is more than a confirmation."""
        if not suspicion.is_held:
            self.spread(id, suspicion, is_common=not is_news)
        elif suspicion.confirmations >= suspicion.bounds.confirmations:
            # Not before the suspect had the time that everybody takes it to have had.
            checked = suspicion.started + self._corroboration.checking_time
            self._timers.at(max(now, checked), partial(self._stop_holding, id, suspicion))
        elif is_ours:
            self._have_checked(id, suspicion, now)

    def spread(self, id: NodeId, suspicion: Suspicion, *, is_common: bool = False) -> None:
        """Tell everybody of a suspicion as it stands. What `is_common` most have heard already, or find out alone."""
        suspicion.is_held = False
        told = self._told(id, self._incarnation(id), suspicion)
        self._news.tell_verdict(told, is_common=is_common)

    def tell_death(self, id: NodeId, incarnation: int, suspicion: Suspicion, declared_by: NodeId) -> None:
        """Tell everybody that a suspicion ended in death here, as it does at nearly all others now."""
        told = self._told(id, incarnation, suspicion) if self._corroboration.checking_time else []
        self._news.tell_verdict([*told, Dead(id, incarnation, declared_by, suspicion.told)], is_common=True)

    def held_suspicion(self, id: NodeId) -> bytes:
        """What is held against a suspect of which not everybody was told yet, as updates."""
        told = self._told(id, self._incarnation(id), self._suspicions[id])
        return b"".join(map(self._dialect.encode_update, told))

    # Inside

    def _checks(self, id: NodeId, accuser: NodeId) -> bool:
        """Whether this node finds out itself whether an accusation is right."""
        own = self._own.id
        return accuser == own or self._corroboration.is_challenger(own, id)

    def _have_checked(self, id: NodeId, suspicion: Suspicion, now: float) -> None:
        """Tell those who check an accusation that it is ours; and all others, if nobody confirms or refutes."""
        self.unchecked.append(id)
        checking_time = self._corroboration.checking_time
        checked_for = now - suspicion.started
        patience = max(PATIENCE * checking_time - checked_for, (PATIENCE - 1) * checking_time)
        self._timers.at(now + patience, partial(self._stop_holding, id, suspicion))

    def _stop_holding(self, id: NodeId, suspicion: Suspicion, _now: float) -> None:
        """Enough have confirmed, or those who were asked are gone too."""
        if suspicion.is_held and self._suspicions.get(id) is suspicion:
            self.spread(id, suspicion)

    def _told(self, id: NodeId, incarnation: int, suspicion: Suspicion) -> list[Suspect | Dead]:
        """All accusers at once, so that whoever hears of it late need not wait for confirmations.

        Where members sign, one update carries their signatures. Without corroboration each accuser is news of its own
        (Lifeguard).
        """
        if not self._trust.is_credulous:
            accusers = [suspicion.first_accuser]
        elif self._corroboration.checking_time:
            first, *others = suspicion.accusers
            accusers = [first, *others[-_MOST_CONFIRMERS:]]
        else:
            accusers = [suspicion.latest_accuser]
        told: list[Suspect | Dead] = [
            Suspect(id, incarnation, each, suspicion.is_stalled, suspicion.told) for each in accusers
        ]
        if suspicion.declared_by is not None:
            told.append(Dead(id, incarnation, suspicion.declared_by, suspicion.told))
        return told

    def _incarnation(self, id: NodeId) -> int:
        slot = self._table.slot_of(id)
        assert slot is not None, "a suspicion outlived its row"
        return incarnation_of(self._table.belief(slot))
