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
from shoal.swim.damping import Damping
from shoal.swim.news import News
from shoal.swim.own_record import OwnRecord
from shoal.swim.suspicion import Suspicion
from shoal.swim.suspicions import Suspicions
from shoal.types import NodeId, Note
from shoal.wire.messages import MAX_ACCUSERS, Dead, Suspect

__all__ = ["PATIENCE", "Announcements"]

PATIENCE: Final = 1.25
"""For how many times as long as checking takes, who accuses waits for what comes of it: others may be somewhat late."""

_MOST_CONFIRMERS: Final = MAX_ACCUSERS - 1
"""Confirmations that are told together, the latest."""


class Announcements:
    """Holds accusations back, and tells them."""

    def __init__(
        self,
        context: Context,
        own: OwnRecord,
        suspicions: Suspicions,
        damping: Damping,
        news: News,
        corroboration: Corroboration,
    ) -> None:
        self._dialect = context.dialect
        self._table = context.table
        self._timers = context.timers
        self._trust = context.trust
        self._own = own
        self._suspicions = suspicions
        self._damping = damping
        self._news = news
        self._corroboration = corroboration
        self.unchecked: list[NodeId] = []
        """Whom this node accused since the prober last looked, and others have to check."""

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("suspects to be checked", len(self.unchecked), 0)

    def begin(self, id: NodeId, suspicion: Suspicion, now: float) -> None:
        """A suspicion is new: tell everybody, unless it is us who have to check it, or to have it checked."""
        checks = self._checks(id, suspicion.first_accuser)
        suspicion.is_held = checks and not suspicion.is_settled and not self._damping.is_watched(id, now)
        if not suspicion.is_held:
            self.spread(id, suspicion)
        elif suspicion.first_accuser == self._own.id:
            self._have_checked(id, suspicion, now)

    def go_on(self, id: NodeId, suspicion: Suspicion, now: float, *, is_ours: bool, is_news: bool) -> None:
        """Somebody confirmed, we ourselves if `is_ours`; `is_news` says that it is more than a confirmation."""
        if not suspicion.is_held:
            self.spread(id, suspicion, is_common=not is_news)
        elif suspicion.is_settled:
            self.spread(id, suspicion)
        elif is_ours:
            self._have_checked(id, suspicion, now)

    def spread(self, id: NodeId, suspicion: Suspicion, *, is_common: bool = False) -> None:
        """Tell everybody of a suspicion as it stands. What `is_common` most have heard already, or find out alone."""
        suspicion.is_held = False
        told = self._told(id, self._incarnation(id), suspicion)
        self._news.tell_verdict(told, began=suspicion.started, is_common=is_common)

    def tell_death(self, id: NodeId, incarnation: int, suspicion: Suspicion, declared_by: NodeId) -> None:
        """Tell everybody that a suspicion ended in death here, as it does at nearly all others now."""
        told = self._told(id, incarnation, suspicion) if self._corroboration.checking_time else []
        began = suspicion.started if told else None
        told.append(Dead(id, incarnation, declared_by, suspicion.told))
        self._news.tell_verdict(told, began=began, is_common=True)

    def held_suspicion(self, id: NodeId, now: float) -> bytes:
        """What is held against a suspect of which not everybody was told yet, as updates."""
        suspicion = self._suspicions[id]
        told = b"".join(map(self._dialect.encode_update, self._told(id, self._incarnation(id), suspicion)))
        return self._dialect.aged(told, now - suspicion.started)

    # Inside

    def _checks(self, id: NodeId, accuser: NodeId) -> bool:
        """Whether this node finds out itself whether an accusation is right, before others hear of it."""
        if not self._corroboration.checking_time:
            return False
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
        if self._corroboration.checking_time:
            accuser, *confirmers = suspicion.accusers
        else:
            accuser, confirmers = suspicion.latest_accuser, []
        heads = [each.head for each in confirmers[-_MOST_CONFIRMERS:]]
        told: list[Suspect | Dead] = [Suspect(id, incarnation, accuser, suspicion.is_stalled, suspicion.told, heads)]
        if suspicion.declared_by is not None:
            told.append(Dead(id, incarnation, suspicion.declared_by, suspicion.told))
        return told

    def _incarnation(self, id: NodeId) -> int:
        return incarnation_of(self._table.belief(self._suspicions.slot(id)))
