"""The policy that every removal of a failed member passes: not too many at once.

When more members fail within seconds than ever fail together, it is more likely that this node has lost sight of them:
its own network, a store, a switch. Then removal stops. The members stay suspect, out of users' selections but in the
view, until enough of them refute, or until they have been silent for so long that nothing else is left to believe.
"""

from __future__ import annotations

from collections import deque
from math import inf

from shoal.events import RemovalHalted, RemovalResumed
from shoal.swim.context import Context
from shoal.types import FailureDomain, NodeId, Note

__all__ = ["RemovalGuard"]


class RemovalGuard:
    """Counts what is removed, and holds back what would be too much."""

    __slots__ = ("_config", "_due", "_held", "_recent", "_released", "_returned", "_table", "_tell")

    def __init__(self, context: Context) -> None:
        self._config = context.config
        self._table = context.table
        self._tell = context.events.append
        #: What was removed within the window: when, and from which domains.
        self._recent: deque[tuple[float, tuple[FailureDomain, ...]]] = deque(maxlen=context.config.max_members)
        self._held: set[NodeId] = set()
        self._returned = 0
        #: Held back for long enough; they go without being counted.
        self._released: set[NodeId] = set()
        #: When the halt ends; infinite while there is none.
        self._due = inf

    @property
    def is_halted(self) -> bool:
        """Whether removal has stopped."""
        return self._due < inf

    def take_stock(self, note: Note) -> None:
        """Note what it keeps."""
        note("recent removals", len(self._recent), self._config.max_members)
        note("removals held back", len(self._held), self._table.present_count)
        note("removals released", len(self._released), self._table.present_count)

    def permits(self, id: NodeId, domains: tuple[FailureDomain, ...], now: float) -> bool:
        """Whether a present member may be removed now; one that may not is held back. Ask again later."""
        if id in self._released:
            self._released.discard(id)
            return True
        while self._recent and self._recent[0][0] <= now - self._config.removal_window:
            self._recent.popleft()
        if self.is_halted:
            if now < self._due:
                self._held.add(id)
                return False
            held = self._held | {id}
            self._released = held - {id}
            self._resume(removed=len(held))
            return True
        halt = self._too_many(domains)
        if halt is not None:
            self._due = now + self._config.removal_hold
            self._held.add(id)
            self._tell(halt)
            return False
        self._recent.append((now, domains))
        return True

    def note_returned(self, id: NodeId) -> None:
        """A member refuted, left, or was replaced."""
        self._released.discard(id)
        if id in self._held:
            self._held.discard(id)
            self._returned += 1
            if len(self._recent) + len(self._held) <= self._most(self._table.present_count + len(self._recent)):
                self._resume(removed=0)

    def _resume(self, removed: int) -> None:
        self._due = inf
        self._tell(RemovalResumed(removed, self._returned))
        self._held = set()
        self._returned = 0
        self._recent.clear()

    def _most(self, members: int) -> float:
        return max(self._config.removal_least, self._config.removal_share * members)

    def _too_many(self, domains: tuple[FailureDomain, ...]) -> RemovalHalted | None:
        """What would be exceeded by one more removal, from these domains."""
        removed = len(self._recent)
        members = self._table.present_count + removed
        if removed + 1 > self._most(members):
            return RemovalHalted(removed, members)
        if self._config.removal_domain_share < 1.0 and removed >= self._config.removal_least:
            for domain in domains:
                removed = sum(domain in others for _, others in self._recent)
                members = removed + sum(domain in FailureDomain.of(tags) for tags in self._table.present_tags())
                if removed + 1 > max(self._config.removal_least, self._config.removal_domain_share * members):
                    return RemovalHalted(removed, members, domain)
        return None
