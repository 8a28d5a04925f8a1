"""This node as others see it: what it says of itself, and how it defends its word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from shoal.errors import MessageTooLargeError
from shoal.events import HealthReason, MemberReadinessChanged, MemberUpdated
from shoal.state.precedence import MAX_INCARNATION, pack
from shoal.swim.context import Context
from shoal.swim.gossip_queue import Priority
from shoal.swim.news import News, stall_key
from shoal.swim.stalls import Stalls
from shoal.swim.stats import Drop
from shoal.types import Member, MemberState, NodeId, NodeInfo, Readiness, Tags
from shoal.wire.messages import Alive, Left, Stall

__all__ = ["OwnRecord"]


class OwnRecord:
    """Who we are, at which incarnation, and whether anybody still knows us."""

    def __init__(self, context: Context, info: NodeInfo, news: News, stalls: Stalls, now: float) -> None:
        self._config = context.config
        self._dialect = context.dialect
        self._random = context.random
        self._table = context.table
        self._health = context.health
        self._stats = context.stats
        self._tell = context.events.append
        self._trust = context.trust
        self._news = news
        self._stalls = stalls
        self._stalls_declared = 0
        self.info = self._trust.sign(info, 0)
        self.incarnation = 0
        """Never falls, and only this node raises it."""
        self.is_leaving = False
        self.is_superseded = False
        """A newer run holds our name: we are in nobody's view any more."""
        self.is_settled = False
        """Whether we have exchanged views with a peer; until then a newer run of our name is our own past, not a
        rival."""
        self._check_size(self.info)
        self._table.add(self.info, pack(0, MemberState.ALIVE), now)
        self.announce()

    @property
    def id(self) -> NodeId:
        """Which run this node is."""
        return self.info.id

    @property
    def member(self) -> Member:
        """This node as it sees itself."""
        slot = self._table.slot_of(self.id)
        if slot is None:  # Superseded: the row of our name belongs to the newer run.
            state = MemberState.LEFT if self.is_leaving else MemberState.ALIVE
            info = self.info
            return Member(info.name, info.id, info.address, state, self.incarnation, info.tags, 0.0, info.readiness)
        return self._table.member(slot)

    # Commands

    def set_tags(self, tags: Mapping[str, str], now: float) -> None:
        """Publish other tags; raises `MessageTooLargeError` above their limit, and what `Trust.sign` raises."""
        info = replace(self.info, tags=Tags(tags))
        if info.tags == self.info.tags:
            return
        self._check_size(self._trust.sign(info, self.incarnation))
        previous, self.info = self.info.tags, info
        if self._table.slot_of(self.id) is not None:
            self._raise_incarnation(self.incarnation, now)
            self._tell(MemberUpdated(self.member, previous))

    def set_readiness(self, readiness: Readiness, now: float) -> None:
        """Publish whether this node wants work; that has spread once `is_spread`."""
        if readiness is self.info.readiness:
            return
        previous, self.info = self.member.readiness, replace(self.info, readiness=readiness)
        if self._table.slot_of(self.id) is not None:
            self._raise_incarnation(self.incarnation, now, Priority.CRITICAL)
            if self.member.readiness is not previous:
                self._tell(MemberReadinessChanged(self.member, previous))

    @property
    def is_spread(self) -> bool:
        """Whether our last word went out as often as any update does, or nobody is there to hear it."""
        return not self._news.is_waiting(self.id) or self._table.present_count <= 1

    def leave(self, now: float) -> None:
        """Say goodbye; it has spread once `goodbye_is_spread`."""
        self.is_leaving = True
        slot = self._table.slot_of(self.id)
        if slot is not None:
            self._table.set_belief(slot, pack(self.incarnation, MemberState.LEFT), now)
            signature = self._trust.sign_goodbye(self.id, self.incarnation)
            if signature:
                self._table.set_testimony(slot, signature)
            self._news.tell(Left(self.id, self.incarnation, signature), Priority.CRITICAL, is_own=True)

    @property
    def goodbye_is_spread(self) -> bool:
        """Whether the goodbye went out as often as any update does, or nobody is there to hear it."""
        return self.is_leaving and (not self._news.is_waiting(self.id) or self._table.present_count == 0)

    def declare_stall(self, seconds: float, now: float) -> None:
        """Say that this node will not answer for so long; 0 takes it back. It has spread once `stall_is_spread`."""
        self._stalls_declared += 1
        proof = self._trust.sign_stall(self.id, self._stalls_declared, seconds)
        stall = Stall(self.id, self._stalls_declared, seconds, proof)
        self._stalls.take(stall, now)
        self._news.tell(stall, Priority.CRITICAL, is_own=True)

    @property
    def stall_is_spread(self) -> bool:
        """Whether the last declaration went out as often as any update does, or nobody is there to hear it."""
        return not self._news.is_waiting(stall_key(self.id)) or self._table.present_count <= 1

    # Defence

    def announce(self, priority: Priority = Priority.NORMAL) -> None:
        """Say our last word again."""
        self._news.tell(Alive(self.info, self.incarnation), priority, is_own=True)

    def announce_again(self, priority: Priority = Priority.NORMAL) -> None:
        """Say our last word to somebody who missed it, once at a time."""
        if not self._news.is_waiting(self.id):
            self.announce(priority)

    def refute(self, incarnation: int, now: float) -> None:
        """We are suspected or held dead: outbid the accused incarnation."""
        if self.is_leaving or self.is_superseded:
            self._stats.drop(Drop.STALE)
        elif incarnation < self.incarnation:
            self._stats.drop(Drop.STALE)
            self.announce_again(Priority.CRITICAL)
        elif incarnation > self.incarnation and not self._trust.is_credulous:
            self._stats.drop(Drop.UNKNOWN_INCARNATION)  # Only this node raises it, and all others know.
        else:
            self._stats.refutations += 1
            self._health.worsen(HealthReason.SUSPECTED)
            self._raise_incarnation(incarnation, now, Priority.CRITICAL)

    def deny_goodbye(self, now: float) -> None:
        """Others hold that we said goodbye, which is final: if we did not, only a new run can come back."""
        if self.is_leaving or self.is_superseded:
            return
        if self._trust.is_credulous:
            self.renew(self.id, now)
        else:  # It is forged, and nobody believes it.
            self._stats.drop(Drop.UNSIGNED_GOODBYE)

    def renew(self, above: NodeId, now: float) -> None:
        """Become a new run of our name, with an id higher than `above`, so that every view takes us for the latest."""
        self._drop_row()
        self.incarnation = 0
        self.info = self._trust.sign(replace(self.info, id=NodeId.mint_after(above, self._random)), 0)
        self._stats.renewals += 1
        self._table.add(self.info, pack(0, MemberState.ALIVE), now)
        self.announce()

    def yield_name(self) -> None:
        """A newer run holds our name in every view but ours: give it up here too."""
        self.is_superseded = True
        self._drop_row()

    def _drop_row(self) -> None:
        slot = self._table.slot_of(self.id)
        assert slot is not None, "only a superseded node has no row of its own"
        self._stalls.end(self.id)
        self._table.remove(slot)
        self._news.discard(self.id)

    def _raise_incarnation(self, above: int, now: float, priority: Priority = Priority.NORMAL) -> None:
        if above >= MAX_INCARNATION:  # Only a forger brings it there; a new run starts again at 0.
            self.renew(self.id, now)
            return
        self.incarnation = above + 1
        slot = self._table.slot_of(self.id)
        assert slot is not None
        self.info = self._trust.sign(self.info, self.incarnation)
        self._table.set_info(slot, self.info)
        self._table.set_belief(slot, pack(self.incarnation, MemberState.ALIVE), now)
        self.announce(priority)

    def _check_size(self, info: NodeInfo) -> None:
        size = self._dialect.tags_size(info.tags)
        if size > self._config.max_tag_bytes:
            raise MessageTooLargeError("tag set", size, self._config.max_tag_bytes, "max_tag_bytes")
        self._news.check_fits("own record", Alive(info, MAX_INCARNATION))
