"""What a node keeps over its end, and the face of whatever keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import accumulate, chain, islice
from random import Random
from typing import Final, Protocol, Self

from shoal.config import ClusterConfig
from shoal.errors import ConfigError
from shoal.events import (
    Event,
    MemberDamped,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberReadinessChanged,
    MemberRecovered,
    MemberReinstated,
    MemberStalled,
    MemberSuspected,
    MemberUpdated,
    PartitionDecided,
    PartitionHealed,
    PartitionSuspected,
    RemovalHalted,
    RemovalResumed,
)
from shoal.keys import ClusterKey
from shoal.swim.core import Swim
from shoal.types import Address, Member, MemberState, NodeId, Tags

__all__ = [
    "MAX_PEERS",
    "EventFacts",
    "Keeper",
    "OwnState",
    "SavedEvent",
    "SavedPeer",
    "SavedState",
    "StateStore",
    "open_store",
    "peers_among",
    "register_store",
]

MAX_PEERS: Final = 512
"""Peers that are saved: one that answers is enough, and some of them will be gone."""
_MAX_TAG_BYTES: Final = 2048
"""Of the tags of one peer, so that all of them stay far below the size of the file."""
_MAX_LEFT: Final = 128
"""Peers that said goodbye: enough for a cluster that was stopped as a whole to form again, and few enough not to hide
the present from a node that comes back to a cluster whose members change often."""
_PAUSE: Final = 1.0
"""Seconds between two looks at the members, per thousand of them, and at least."""

_MemberEvent = (
    MemberJoined
    | MemberSuspected
    | MemberRecovered
    | MemberFailed
    | MemberLeft
    | MemberUpdated
    | MemberReadinessChanged
    | MemberStalled
    | MemberDamped
    | MemberReinstated
)
_MAX_DETAIL: Final = 500

EventFacts = tuple[str, str, NodeId, Address, str]
"""Kind, name, id and address of the member, and detail, as in `SavedEvent`."""


@dataclass(frozen=True, slots=True)
class OwnState:
    """Who a node was."""

    cluster: str
    name: str
    id: NodeId
    tags: Tags
    """What it published last."""
    configured: Tags
    """What it was started with."""


@dataclass(frozen=True, slots=True)
class SavedPeer:
    """A member as this node saw it last: where it is contacted, and the rest for people who look at the topology."""

    address: Address
    tags: Tags = Tags()
    """Those of its tags that have room, in the order of their keys."""
    state: MemberState = MemberState.ALIVE

    @classmethod
    def of(cls, member: Member) -> Self:
        """What is saved of `member`."""
        return cls(member.address, _within_bounds(member.tags), member.state)


@dataclass(frozen=True, slots=True)
class SavedEvent:
    """Something that happened to a member, or to the cluster as this node sees it."""

    at: float
    """Seconds since 1970."""
    kind: str
    """The name of the event's class, such as `MemberFailed`."""
    member: str
    """To whom it happened; what happened to the cluster is told of the node that saw it."""
    id: NodeId
    address: Address
    detail: str = ""
    """More, in words; up to 500 characters."""


@dataclass(frozen=True, slots=True)
class SavedState:
    """All that was kept."""

    own: OwnState | None = None
    peers: Mapping[str, SavedPeer] = field(default_factory=dict)
    """Other members by name, those first that are worth a try first."""
    keys: tuple[ClusterKey, ...] = ()
    """As the keyring was last changed, the one that seals first."""
    configured_keys: tuple[bytes, ...] = ()
    """Ids of those that it was started with."""
    events: tuple[SavedEvent, ...] = field(default=(), repr=False)
    """The last ones, the oldest first."""


class StateStore(Protocol):
    """Keeps the state of one node. All but `open` and `close` return at once, from whichever thread."""

    def open(self) -> SavedState:
        """Take hold of what is there; may block for a moment. Raises `StateInUseError` or `ConfigError`."""
        ...

    def save_own(self, own: OwnState) -> None:
        """Keep who this node is."""
        ...

    def save_peers(self, peers: Mapping[str, SavedPeer]) -> None:
        """Keep these peers, by name, in the place of the last."""
        ...

    def save_keys(self, keys: Sequence[ClusterKey], configured: Sequence[bytes]) -> None:
        """Keep the keyring."""
        ...

    def add_events(self, events: Sequence[EventFacts]) -> None:
        """Keep what happened just now."""
        ...

    def events(self) -> tuple[SavedEvent, ...]:
        """The last ones, the oldest first; those of earlier runs too."""
        ...

    def flush(self) -> Future[bool]:
        """Its result comes when all that was given before is safe from a crash: True, or False if it cannot be."""
        ...

    def close(self) -> None:
        """Save what is left, for a moment at most, and let go; may be called again."""
        ...


_make_store: Callable[[str], StateStore] | None = None


def register_store(make: Callable[[str], StateStore]) -> None:
    """Say what keeps the state in a directory, `state_dir`; the package does that when it is imported."""
    global _make_store  # noqa: PLW0603 - one of two floors that must not know each other hands the other in
    _make_store = make


def open_store(config: ClusterConfig) -> StateStore | None:
    """What keeps the state of a node so configured, not opened yet; None if nothing is to be kept."""
    if config.state_dir is None:
        return None
    assert _make_store is not None, "importing shoal registers one"
    return _make_store(config.state_dir)


class Keeper:
    """Between one node and its store: says what a start makes of what was kept, and keeps what changes."""

    def __init__(self, store: StateStore, config: ClusterConfig, *, is_named: bool) -> None:
        self.store = store
        self._config = config
        self._is_named = is_named
        self._saved = SavedState()
        self._generation = -1
        self._own: OwnState | None = None
        self._next_look = 0.0
        #: When those of the last run count no more who have not been found in this one.
        self._forget_at: float | None = None

    def open(self) -> None:
        """Read what is there; blocks for a moment. Raises `StateInUseError` and `ConfigError`."""
        self._saved = self.store.open()
        own = self._saved.own
        if own is not None and own.cluster != self._config.cluster:
            self.store.close()
            raise ConfigError(
                "state_dir",
                self._config.state_dir,
                f"it has the state of a node of cluster {own.cluster!r}, not {self._config.cluster!r}; take another"
                " directory, or remove this one",
            )

    @property
    def has_run_before(self) -> bool:
        """Whether this is a restart."""
        return self._saved.own is not None

    @property
    def name(self) -> str | None:
        """Who this node was, if it was not told who it is."""
        own = self._saved.own
        return None if own is None or self._is_named else own.name

    @property
    def tags(self) -> Tags:
        """What it says of itself: what it said last, unless it is told something else than at its last start."""
        own = self._saved.own
        return own.tags if own is not None and own.configured == self._config.tags else Tags(self._config.tags)

    @property
    def peers(self) -> tuple[Address, ...]:
        """Where its peers were."""
        return tuple(peer.address for peer in self._saved.peers.values())

    def keys(self, configured: Sequence[ClusterKey]) -> tuple[ClusterKey, ...]:
        """Its keyring: as it was last changed, unless other keys are given than at its last start."""
        ids = tuple(bytes(key.id) for key in configured)
        known = self._saved.keys if ids and ids == self._saved.configured_keys else ()
        return known or tuple(configured)

    def mint(self, unix_ms: int, random: Random) -> NodeId:
        """An id above that of every run of this node that was kept, whatever the clock says."""
        id, own = NodeId.mint(unix_ms, random), self._saved.own
        return id if own is None or own.id < id else NodeId.mint_after(own.id, random)

    def look(self, core: Swim, now: float) -> None:
        """Keep what has changed, if it is time to look; called on the event loop's thread, and often."""
        if core.generation != self._generation and now >= self._next_look:
            self.save(core, now)
            self._next_look = now + max(_PAUSE, _PAUSE * len(core.members()) / 1000)

    def save(self, core: Swim, now: float) -> None:
        """Keep who this node is, and where those are whom it knows, or its last run knew."""
        self._generation = core.generation
        local = core.local
        own = OwnState(self._config.cluster, local.name, local.id, local.tags, Tags(self._config.tags))
        if own != self._own:
            self._own = own
            self.store.save_own(own)
        peers = peers_among(member for member in core.members() if member.id != local.id)
        if self._forget_at is None:
            self._forget_at = now + self._config.tombstone_life
        if not core.joined or now < self._forget_at:  # Who is not found yet may be found by the next run.
            earlier = ((name, peer) for name, peer in self._saved.peers.items() if name not in peers)
            peers.update(islice(earlier, MAX_PEERS - len(peers)))
        self.store.save_peers(peers)

    def note(self, events: Sequence[Event], local: Member) -> None:
        """Keep what happened to members, and what this node, `local`, saw happen to the cluster.

        Called on the event loop's thread.
        """
        kept = [facts for event in events if (facts := _facts_of(event, local)) is not None]
        if kept:
            self.store.add_events(kept)


def _facts_of(event: Event, local: Member) -> EventFacts | None:
    detail = _detail_of(event)
    if isinstance(event, _MemberEvent):
        whom = event.member
    elif detail:
        whom = local
    else:
        return None
    return type(event).__name__, whom.name, whom.id, whom.address, detail[:_MAX_DETAIL]


def _detail_of(event: Event) -> str:
    """What the name of the event does not say. Of those that happen to no member, the ones that are kept have some."""
    match event:
        case MemberDamped(returns=returns):
            return f"came back {returns} times"
        case RemovalHalted(removed, members, domain):
            return f"{removed} of {members} members{'' if domain is None else f' of {domain}'} were removed"
        case RemovalResumed(removed, returned):
            return f"{removed} were removed, {returned} came back"
        case PartitionSuspected(partition):
            return f"{len(partition.lost)} members were lost, {partition.present} are here"
        case PartitionDecided(_, decision):
            return f"{decision.strategy} says {decision.ruling}: {decision.why}"
        case PartitionHealed(returned=back, still_lost=lost, lasted=lasted):
            return f"{len(back)} members are back after {lasted:.1f} s, {len(lost)} are still lost"
        case _:
            return ""


def peers_among(members: Iterable[Member]) -> dict[str, SavedPeer]:
    """Those to remember, by name: the present first, then the dead, then the last ones who left.

    Whoever leaves a cluster that is stopped as a whole sees all others leave, and comes back to them.
    """
    by_state: dict[MemberState, list[Member]] = {state: [] for state in MemberState}
    for member in members:
        by_state[member.state].append(member)
    *others, left = by_state.values()
    left.sort(key=lambda member: -member.since)
    peers: dict[str, SavedPeer] = {}
    for member in islice(chain(*others, left[:_MAX_LEFT]), MAX_PEERS):
        peers.setdefault(member.name, SavedPeer.of(member))  # One name may have an earlier run, which is gone.
    return peers


def _within_bounds(tags: Tags) -> Tags:
    """`tags`, or the first of them; few members have more than a hundred bytes."""
    pairs = sorted(tags.items())
    sizes = accumulate(len(key.encode()) + len(value.encode()) for key, value in pairs)
    return Tags(pair for pair, size in zip(pairs, sizes, strict=True) if size <= _MAX_TAG_BYTES)
