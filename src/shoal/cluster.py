"""`Cluster`: the asyncio face of one member."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import platform
import secrets
import time
import warnings
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from math import inf
from random import Random
from types import AsyncGeneratorType, TracebackType
from typing import Any, Self
from weakref import ref

from shoal.config import ClusterConfig, PartitionStrategy
from shoal.errors import (
    AlreadyStartedError,
    ClosedError,
    ConfigError,
    KeyringError,
    NotStartedError,
    ShoalTimeoutError,
    UnknownMemberError,
)
from shoal.events import (
    Event,
    HealthReason,
    LeaveRequested,
    NameConflict,
    Partition,
    PartitionRuling,
    SeedUnreachable,
    Verdict,
)
from shoal.keys import ClusterKey, KeyId
from shoal.net.advertise import advertised_address
from shoal.net.driver import Driver
from shoal.net.exposure import check_exposure
from shoal.net.gc_pauses import GcPauses
from shoal.net.identity_files import configured_identity
from shoal.net.key_file import configured_keys
from shoal.net.loops import AsyncOnly, OwnLoop
from shoal.net.revocation_file import RevocationFile
from shoal.net.sealed import SealedTransport
from shoal.net.sockets import SocketTransport
from shoal.net.transport import Transport
from shoal.net.wakeups import timer_slack
from shoal.persistence import Keeper, SavedEvent, StateStore, open_store
from shoal.rotation import KeyReport, KeyRotation
from shoal.shutdown import Companion, Outcome, Shutdown, ShutdownPhase, ShutdownReport, UnfinishedError
from shoal.subscription import Subscription, Subscriptions
from shoal.swim.core import Swim
from shoal.swim.heartbeats import Heartbeat
from shoal.types import Address, Member, MemberState, NodeId, NodeInfo, Readiness, Tags
from shoal.wire.envelope import OVERHEAD
from shoal.wire.identity import SignedIdentity
from shoal.wire.keyring import Keyring
from shoal.wire.native import NativeDialect

__all__ = ["Cluster", "Health"]

_HOST_BYTES = 100
"""Bytes of the host's name in a default name, which has 128 at most."""

_PHASE_TIME = 2.0
"""Seconds that each phase of the shutdown may take; none takes more than a moment unless something is wrong."""
_NOT_STARTED = "this cluster object is not started; use 'async with' or await start() first"

_LEAST_LAG = 0.05
"""Seconds. Shorter pauses are not worth a word to the core."""
_HEALTH_SILENCE = 10.0
"""Seconds between two lines of the log on local health, so that a node that is unwell does not flood it."""

_ENDING: set[asyncio.Task[None]] = set()
"""Nodes that nobody holds and that are not gone yet."""

_log = logging.getLogger("shoal.cluster")


@dataclass(frozen=True, slots=True)
class Health:
    """How a node is doing, at one moment."""

    is_running: bool
    """Started, and neither closed nor closing."""
    is_leaving: bool
    """It has said goodbye."""
    is_superseded: bool
    """A newer run holds its name, so no peer sees it."""
    has_joined: bool
    """It has exchanged views with another member."""
    readiness: Readiness
    """Whether it wants work, as its peers are told."""
    address: Address
    """What peers send to."""
    counts: Mapping[MemberState, int]
    """Members by state, this node and tombstones included."""
    agreement: float | None
    """Share of the last 64 answered probes whose ack carried the digest of this node's view; None before the first.
    1.0: all whom it asked see what it sees."""
    last_probe_success_age: float | None
    """Seconds since a probe of this node was last answered; None if none ever was."""
    local_health: int
    """The local health score: 0 is healthy, `local_health_max` the worst (Lifeguard §IV-A)."""
    local_health_points: Sequence[str]
    """Why each point of it is there, the oldest first."""
    local_health_reasons: Mapping[str, int]
    """What raised the score since the start, and how often."""
    subscribers: int
    """Event streams that are open."""


class _Phase(Enum):
    NEW = "not started"
    STARTING = "starting"
    RUNNING = "running"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class _Running:
    """What exists from `start` to `close`; what is read from it is consistent, from whichever thread."""

    core: Swim
    driver: Driver
    transport: Transport
    loop: asyncio.AbstractEventLoop
    pulse: _Pulse
    keys: KeyRotation | None
    """None without keys."""
    keeper: Keeper | None
    """None where nothing is kept."""

    @property
    def local(self) -> Member:
        with self.driver.lock:
            return self.core.local

    def members(self) -> tuple[Member, ...]:
        with self.driver.lock:
            return self.core.members()

    def members_with(self, tags: Mapping[str, str]) -> tuple[Member, ...]:
        with self.driver.lock:
            return self.core.members_with(tags)

    def member(self, which: NodeId | str) -> Member | None:
        with self.driver.lock:
            return self.core.member(which) if isinstance(which, NodeId) else self.core.member_named(which)

    def evidence(self, id: NodeId) -> tuple[Verdict, ...]:
        with self.driver.lock:
            return self.core.verdicts(id, self.now())

    def health(self, *, is_running: bool, subscribers: int) -> Health:
        core = self.core
        with self.driver.lock:
            success = core.last_probe_success
            return Health(
                is_running=is_running,
                is_leaving=core.is_leaving,
                is_superseded=core.is_superseded,
                has_joined=core.joined,
                readiness=core.local.readiness,
                address=core.local.address,
                counts=core.counts(),
                agreement=core.agreement,
                last_probe_success_age=None if success is None else max(0.0, self.now() - success),
                local_health=core.health.score,
                local_health_points=tuple(map(str, core.health.points)),
                local_health_reasons={str(reason): count for reason, count in core.health.reasons.items()},
                subscribers=subscribers,
            )

    def stats(self) -> dict[str, int]:
        with self.driver.lock:
            counters = self.core.stats.as_dict()
        counters |= {f"transport_{name}": count for name, count in self.transport.stats.as_dict().items()}
        counters |= {f"driver_{name}": count for name, count in dataclasses.asdict(self.driver.stats).items()}
        return counters

    def now(self) -> float:
        return self.loop.time()

    async def stop_protocol(self) -> None:
        """Neither probe nor answer any more."""
        self.pulse.stop()
        self.driver.halt()

    def abandon(self) -> None:
        """End without a word, because nobody holds this node any more; may be called from any thread."""
        try:
            self.loop.call_soon_threadsafe(self._end_soon)
        except RuntimeError:  # The loop is closed, and the sockets go with the objects that hold them.
            if self.keeper is not None:
                self.keeper.store.close()

    def _end_soon(self) -> None:
        task = self.loop.create_task(self._end(), name="shoal end of an abandoned node")
        _ENDING.add(task)
        task.add_done_callback(_ENDING.discard)

    async def _end(self) -> None:
        await self.stop_protocol()
        await self.driver.stop()
        if self.keeper is not None:
            with suppress(UnfinishedError):
                await _let_go(self.keeper, None)

    def last_words(self) -> _Last:
        """All of that as it is now, to be read when the rest is gone."""
        members = self.members()
        return _Last(
            local=self.local,
            by_id={member.id: member for member in members},
            by_name={member.name: member for member in members},
            verdicts={member.id: verdicts for member in members if (verdicts := self.evidence(member.id))},
            last_health=self.health(is_running=False, subscribers=0),
            last_stats=self.stats(),
            clock=self.loop.time,
        )


@dataclass(frozen=True, slots=True)
class _Last:
    """What is left of a closed node: the values that it held last."""

    local: Member
    by_id: Mapping[NodeId, Member]
    by_name: Mapping[str, Member]
    verdicts: Mapping[NodeId, tuple[Verdict, ...]]
    last_health: Health
    last_stats: Mapping[str, int]
    clock: Callable[[], float]

    def members(self) -> tuple[Member, ...]:
        return tuple(self.by_id.values())

    def members_with(self, tags: Mapping[str, str]) -> tuple[Member, ...]:
        return tuple(member for member in self.by_id.values() if member.has_tags(tags))

    def member(self, which: NodeId | str) -> Member | None:
        return self.by_id.get(which) if isinstance(which, NodeId) else self.by_name.get(which)

    def evidence(self, id: NodeId) -> tuple[Verdict, ...]:
        return self.verdicts.get(id, ())

    def health(self, *, is_running: bool, subscribers: int) -> Health:
        return dataclasses.replace(self.last_health, is_running=is_running, subscribers=subscribers)

    def stats(self) -> dict[str, int]:
        return dict(self.last_stats)

    def now(self) -> float:
        return self.clock()


class _Complaints:
    """Tells the log what somebody should look at: seeds that do not answer, names claimed twice, a quorum too small."""

    def __init__(self, core: Swim, config: ClusterConfig) -> None:
        self._core = core
        self._config = config
        #: Reported and still missing, so never more than the core has seeds.
        self._unreachable: set[Address] = set()
        self._checks_quorum = config.partition_strategy is PartitionStrategy.STATIC_QUORUM

    def look_at(self, events: Sequence[Event]) -> None:
        """Some events, just after they happened; called on the event loop's thread."""
        for event in events:
            match event:
                case SeedUnreachable():
                    self._seed_failed(event)
                case NameConflict(winner, loser):
                    _log.warning(
                        "%s: two nodes are named %s: the one at %s holds the name from now on, the one at %s has lost "
                        "it; give each a name of its own",
                        self._core.local.name,
                        winner.name,
                        winner.address,
                        loser.address,
                        extra={"event": "name_conflict", "address": str(winner.address), "loser": str(loser.address)},
                    )
        if self._unreachable:
            self._look_for_recovery()

    def look_around(self) -> None:
        """Time has passed; not all who join are told of."""
        if self._checks_quorum:
            self._check_quorum()

    def _check_quorum(self) -> None:
        role, quorum = self._config.partition_role, self._config.partition_quorum
        counts = self._core.counts()
        present = counts[MemberState.ALIVE] + counts[MemberState.SUSPECT]
        members = len(self._core.members_with(role)) if role and present >= 2 * quorum else present
        if members < 2 * quorum:
            return
        self._checks_quorum = False
        _log.warning(
            "%s: a quorum of %d is too small for %d members: two sides of a partition could have it, so all would "
            "stand down; raise partition_quorum above half of them",
            self._core.local.name,
            quorum,
            members,
            extra={"event": "quorum_too_small", "quorum": quorum, "members": members},
        )

    def _seed_failed(self, failure: SeedUnreachable) -> None:
        # This node itself may be among the seeds, and a member may have turned up there by other ways.
        is_news = failure.address in self._core.missing_seeds and failure.address not in self._unreachable
        if is_news:
            self._unreachable.add(failure.address)
        _log.log(
            logging.WARNING if is_news else logging.DEBUG,
            "%s: the seed %s does not answer: %s; it is tried again for ever, check that a node runs there",
            self._core.local.name,
            failure.address,
            failure.reason,
            extra={"event": "seed_unreachable", "address": str(failure.address), "reason": failure.reason},
        )

    def _look_for_recovery(self) -> None:
        missing = self._core.missing_seeds
        for seed in sorted(self._unreachable.difference(missing)):
            _log.info(
                "%s: a member is at the seed %s now",
                self._core.local.name,
                seed,
                extra={"event": "seed_recovered", "address": str(seed)},
            )
        self._unreachable.intersection_update(missing)


class _Pulse:
    """Sees whether this process runs on time, tells the core where not, and the log when the local health changes."""

    def __init__(self, core: Swim, clock: Callable[[], float]) -> None:
        self._core = core
        self._clock = clock
        self._pauses = GcPauses(clock)
        self._score_told = 0
        self._silent_until = -inf

    def start(self) -> None:
        """Begin to measure; `stop` must follow."""
        self._pauses.start()

    def stop(self) -> None:
        """Measure no more."""
        self._pauses.stop()

    def beat(self, driver: Driver, late: float) -> None:
        """The driver's timer fired so late; called on the event loop's thread, about as often as there are probes."""
        pause = self._pauses.take_longest()
        if max(late, pause) >= _LEAST_LAG:
            # Most of a lag in which garbage was collected is the collection.
            reason = HealthReason.GC_PAUSE if pause >= late / 2 else HealthReason.EVENT_LOOP_LAG
            driver.call(self._core.note_lag, max(late, pause), reason)
        if self._core.health.score != self._score_told and self._clock() >= self._silent_until:
            self._tell()

    def _tell(self) -> None:
        health, before = self._core.health, self._score_told
        self._score_told, self._silent_until = health.score, self._clock() + _HEALTH_SILENCE
        counts = Counter(map(str, health.points))
        reasons = ", ".join(f"{reason} {count}" for reason, count in counts.items()) or "no complaints"
        _log.log(
            logging.WARNING if health.score > before else logging.INFO,
            "%s: local health is %d after %d (0 is best): %s; probes take %d times as long (see probe_timeout)",
            self._core.local.name,
            health.score,
            before,
            reasons,
            health.multiplier,
            extra={"event": "local_health_changed", "score": health.score, "points": counts},
        )


class Cluster(AsyncOnly):
    """One member of a cluster. One object is one run: start it once, and only on one event loop.

    Commands are coroutines and belong to that event loop; elsewhere they raise `LifecycleError`. Reads are plain calls
    that never wait, from any thread, and after `close` they show what was known last.

    A node whose event loop ends says goodbye and closes, as far as the loop is ended as `asyncio.run` does it. One that
    nobody holds any more is closed without goodbye, with a `ResourceWarning`.
    """

    def __init__(
        self,
        config: ClusterConfig | None = None,
        *,
        transport: Transport | None = None,
        save_keys: Callable[[tuple[ClusterKey, ...]], None] | None = None,
        store: StateStore | None = None,
        **changes: Any,
    ) -> None:
        """Prepare a member; nothing is opened before `start`.

        `changes` are fields of `ClusterConfig`, laid over `config` (default: the LAN profile); addresses may be texts.
        `transport` takes the place of UDP and TCP, for example one of a `shoal.net.memory.MemoryNetwork`. `save_keys`
        is called on the event loop with all keys, the one that seals first, whenever they were changed in the running
        cluster. `store` takes the place of the one on `state_dir`; without either nothing is kept. Raises
        `ConfigError`.
        """
        config = (config or ClusterConfig.lan()).replace(**changes)
        self._name = config.name if config.name is not None else _default_name()
        self._config = config.replace(name=self._name)
        self._transport = transport
        keys = configured_keys(self._config)
        self._keyring = Keyring(keys) if keys else None
        self._save_keys = save_keys
        self._identity = configured_identity(self._config)
        store = store or open_store(self._config)
        self._keeper = None if store is None else Keeper(store, self._config, is_named=config.name is not None)
        self._phase = _Phase.NEW
        self._running: _Running | None = None
        self._view: _Running | _Last | None = None
        self._companions: set[Companion] = set()
        self._shutdown = Shutdown()
        self._report: ShutdownReport | None = None
        self._end_of_loop: AsyncGeneratorType[None, None] | None = None
        self._own_loop = OwnLoop()
        self._opening = asyncio.Lock()
        self._subscriptions = Subscriptions(self._config.event_buffer, self._own_loop)

    # Life

    async def start(self) -> None:
        """Bind, begin to probe, and contact the seeds.

        Returns once a seed has answered, all have failed their first tries, or `join_timeout` has passed; seeds that
        cannot be reached are tried again for ever. Raises `BindError`, `ResolutionError`, `ConfigError`,
        `AlreadyStartedError` or `ClosedError`; then, and when it is cancelled, nothing stays open.
        """
        if self.is_closed:
            raise ClosedError("this cluster object is closed; make a new one")
        if self._phase is not _Phase.NEW:
            raise AlreadyStartedError("this cluster object is started already; one object is one run")
        self._own_loop.check()
        self._phase = _Phase.STARTING
        try:
            async with self._opening:
                running = await self._open(self._transport or SocketTransport(self._config))
            await self._contact_seeds(running)
            if self.is_closed:
                raise ClosedError("this cluster object was closed while it started")
        except BaseException:
            await self.close()
            raise
        self._phase = _Phase.RUNNING

    async def leave(self) -> None:
        """Say goodbye, and wait until it has spread, at most `leave_timeout`; close() is still to be called.

        Peers see LEFT, never DEAD. Calling it again, or after `close`, changes nothing. Cancelling it takes nothing
        back: the goodbye goes on to spread until `close`. Raises `NotStartedError`.
        """
        if self.is_closed:
            return
        running = self._here()
        began = running.now()
        outcome = Outcome.CUT_SHORT
        try:
            with self.events() as events:
                running.driver.call(running.core.leave)
                while not running.core.has_left and await anext(events, None) is not None:
                    pass
            if running.core.has_left:
                outcome = Outcome.DONE if running.core.goodbye_is_spread else Outcome.TIMED_OUT
        finally:
            self._shutdown.note(ShutdownPhase.LEAVE, outcome, running.now() - began)

    async def ask_to_leave(self, member: Member | NodeId | str) -> None:
        """Ask another member to leave, which it does if this node's certificate has the right; see docs/security.md.

        Returns when it has agreed; its goodbye follows. Raises `ForbiddenError` without the right,
        `UnknownMemberError`, `KeyringError` when this node runs without keys, and `TransportError` or
        `ShoalTimeoutError` for a member that does not answer: a dead one cannot leave.
        """
        rotation = self._keys("nobody can be asked to leave")
        which = self._id_of(member)
        found = self.member(which)
        if found is None:
            raise UnknownMemberError(f"no member has the id {which}")
        await rotation.ask_to_leave(found)

    async def close(self) -> ShutdownReport:
        """End this member at once and release everything; peers see a crash unless `leave` came before.

        May be called at any time and again; everybody who calls it gets the same report when all is over. The phases of
        `ShutdownPhase` follow each other, and none keeps the next from coming. Event streams end after what waits in
        them; a `start` under way raises `ClosedError`.
        """
        if self._phase is not _Phase.NEW:
            self._own_loop.check()
        self._phase = _Phase.CLOSED
        async with self._opening:
            if self._report is None:
                self._report = await self._shut_down()
        return self._report

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called, or the event loop has ended."""
        return self._phase is _Phase.CLOSED

    @property
    def shutdown_report(self) -> ShutdownReport | None:
        """How this node ended; None as long as it has not."""
        return self._report

    def attach(self, companion: Companion) -> None:
        """Have `companion` ended when this node closes, before its sockets are."""
        self._companions.add(companion)

    def detach(self, companion: Companion) -> None:
        """It has ended by itself."""
        self._companions.discard(companion)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.leave()
        finally:
            await self.close()

    def __del__(self) -> None:
        running = getattr(self, "_running", None)
        if running is not None and self._report is None:
            what = f"the node {self._name} was dropped without close(); use 'async with'"
            warnings.warn(what, ResourceWarning, 1, source=self)
            running.abandon()

    # Commands

    async def join(self, seeds: Iterable[Address | str]) -> None:
        """Contact further seeds, without waiting for them; they are remembered, and tried again for ever.

        Raises `ConfigError`, and `ClosedError` after `leave`.
        """
        parsed = self._config.replace(seeds=seeds if isinstance(seeds, str | Address) else tuple(seeds)).seeds
        running = self._commanded()
        running.driver.call(running.core.join, parsed)

    async def set_tags(self, tags: Mapping[str, str]) -> None:
        """Publish these tags in the place of the present ones.

        Raises `MessageTooLargeError` above `max_tag_bytes`, `ConfigError` for what is no text, and `ClosedError` after
        `leave`.
        """
        checked = self._config.replace(tags=tags).tags
        running = self._commanded()
        running.driver.call(running.core.set_tags, checked)

    async def update_tags(self, changes: Mapping[str, str | None]) -> None:
        """Publish the present tags with some changed, added, or, where the value is None, removed.

        Raises as `set_tags`.
        """
        merged = {**self.local.tags, **changes}
        await self.set_tags({key: value for key, value in merged.items() if value is not None})

    async def set_readiness(self, readiness: Readiness) -> None:
        """Publish whether this node wants work; it stays a member, alive and probed, whatever it says.

        Returns when that has been sent as often as any news, or `leave_timeout` has passed. `members()` leaves out who
        is not ready. Raises `ClosedError` after `leave`.
        """
        running = self._commanded()
        running.driver.call(running.core.set_readiness, readiness)
        _log.info(
            "%s: this node is %s from now on",
            running.core.local.name,
            readiness,
            extra={"event": "readiness_published", "readiness": str(readiness)},
        )
        await self._until(lambda: running.core.record_is_spread)

    async def drain(self) -> None:
        """Say that this node takes nothing new, before it stops: `set_readiness(Readiness.DRAINING)`.

        Finish what there is to do then, and leave; `set_readiness(Readiness.READY)` takes it back.
        """
        await self.set_readiness(Readiness.DRAINING)

    def stall(self, reason: str, *, at_most: float) -> AbstractAsyncContextManager[None]:
        """Around code that blocks this process, so that its peers do not take it for dead: `declare_stall` and back.

        The declaration has spread before the block is entered, and is taken back at its end, whatever happens in it.
        """
        return _StallBlock(self, reason, at_most)

    async def declare_stall(self, reason: str, *, at_most: float) -> None:
        """Say that this process may not answer for up to `at_most` seconds; 0 says that it is back.

        Returns when the declaration has been sent as often as any news, or `leave_timeout` has passed; at 0, at once.
        Whoever heard it holds this node neither suspect nor dead for `at_most` seconds after that, or for its own
        `max_stall` if that is less, and shows it as stalled. A member that joins meanwhile, or did not hear it, may
        suspect it, but the others tell it better. One declaration is in force at a time, the last. `reason` is for this
        node's log. Raises `ConfigError` above `max_stall`, and `ClosedError` after `leave`.
        """
        running = self._commanded()
        running.driver.call(running.core.declare_stall, at_most)
        name = running.core.local.name
        if at_most == 0:
            _log.info("%s: the stall is over: %s", name, reason, extra={"event": "stall_ended", "reason": reason})
            return
        _log.info(
            "%s: a stall of up to %g s is declared: %s",
            name,
            at_most,
            reason,
            extra={"event": "stall_declared", "reason": reason, "at_most": at_most},
        )
        await self._until(lambda: running.core.stall_is_spread)

    async def broadcast(self, payload: bytes | bytearray | memoryview) -> None:
        """Send bytes to all other members, which get a `BroadcastReceived`: once each, most likely.

        Raises `MessageTooLargeError` when they do not fit in a datagram, and `ClosedError` after `leave`.
        """
        running = self._commanded()
        running.driver.call(running.core.broadcast, _as_bytes(payload))

    async def send(self, to: Member | NodeId | str, payload: bytes | bytearray | memoryview) -> None:
        """Send bytes to a member, which gets a `MessageReceived`: as reliable as a datagram, and to itself for sure.

        Raises `UnknownMemberError`, `MessageTooLargeError`, and `ClosedError` after `leave`.
        """
        running = self._commanded()
        running.driver.call(running.core.send, self._id_of(to), _as_bytes(payload))

    async def rule_partition(self, ruling: PartitionRuling, why: str) -> None:
        """Answer a `PartitionDecided` that asks for the lease: `STAY` if it was had, else `STAND_DOWN`.

        `shoal.leasing.Leasing` does that with a lease of yours. `why` is for people. Raises `ClosedError` after
        `close`.
        """
        running = self._commanded()
        running.driver.call(running.core.rule_partition, ruling, why)

    async def heartbeat(self, to: Member | NodeId | str) -> Heartbeat:
        """Ping another member once, without waiting; the moment of its answer is written into what is returned.

        It changes nothing in the membership; `shoal.health.watch` makes a close watch of it. Raises
        `UnknownMemberError`, and `ClosedError` after `leave`.
        """
        running = self._commanded()
        return running.driver.call(running.core.heartbeat, self._id_of(to))

    async def wait_for_members(self, count: int, timeout: float = 10.0) -> None:
        """Wait until so many members are alive, this node included; `timeout` is in seconds.

        Raises `ShoalTimeoutError`, and `ClosedError` when the node closes meanwhile.
        """
        running = self._commanded()
        with self.events() as events:
            try:
                async with asyncio.timeout(timeout):
                    while running.core.counts()[MemberState.ALIVE] < count:
                        if await anext(events, None) is None:
                            raise ClosedError(f"the node closed while it waited for {count} members")
            except TimeoutError:
                alive = running.core.counts()[MemberState.ALIVE]
                raise ShoalTimeoutError(f"{alive} of {count} members are alive after {timeout} seconds") from None

    # Keys

    async def list_keys(self) -> KeyReport:
        """Ask all present members for their keys.

        This and the other operations on keys raise `KeyringError` when this node runs without keys.
        """
        return await self._keys().list()

    async def install_key(self, key: ClusterKey | str) -> KeyReport:
        """Let all present members open what is sealed with a further key, which they do not seal with yet.

        Raises `ConfigError` for a text that is no key.
        """
        return await self._keys().install(key if isinstance(key, ClusterKey) else ClusterKey.parse(key))

    async def use_key(self, id: KeyId | str) -> KeyReport:
        """Let all members seal with an installed key; refused when a present member does not hold it.

        Raises `ConfigError` for a text that is no id of a key.
        """
        return await self._keys().use(id if isinstance(id, KeyId) else KeyId.parse(id))

    async def remove_key(self, id: KeyId | str, *, strand: bool = False) -> KeyReport:
        """Let all members forget a key; refused while one seals with it, or is away and may come back with it alone.

        `strand` leaves those behind that are away. Raises `ConfigError` for a text that is no id of a key.
        """
        return await self._keys().remove(id if isinstance(id, KeyId) else KeyId.parse(id), strand=strand)

    # Reads

    @property
    def config(self) -> ClusterConfig:
        """The settings in force."""
        return self._config

    @property
    def local(self) -> Member:
        """This node as it sees itself."""
        return self._seen().local

    def members(self, /, *readiness: Readiness, **tags: str) -> tuple[Member, ...]:
        """Members that are alive, ready and not damped, this node included, and have all these tags.

        Name others than the ready if you want them: `members(Readiness.DRAINING)`, or `members(*Readiness)` for
        whichever.
        """
        wanted = readiness or (Readiness.READY,)
        known = self._seen()
        return tuple(
            member
            for member in (known.members_with(tags) if tags else known.members())
            if member.state is MemberState.ALIVE and not member.damped and member.readiness in wanted
        )

    def all_members(self) -> tuple[Member, ...]:
        """Every member known, in whichever state; the dead and the left for `tombstone_life`."""
        return self._seen().members()

    def member(self, which: NodeId | str) -> Member | None:
        """What is held of the run of that id, or of the newest run of that name."""
        return self._seen().member(which)

    def evidence(self, which: NodeId | str) -> tuple[Verdict, ...]:
        """The last verdicts about a member, by id or name, the oldest first: why it was held suspect or dead.

        Verdicts about earlier runs of its name are among them. Empty if there are none, or the member is not known.
        """
        seen = self._seen()
        member = seen.member(which)
        return () if member is None else seen.evidence(member.id)

    def partition(self) -> Partition | None:
        """The partition that is suspected now, with what the configured strategy says of it; None if there is none.

        Of a closed node always None.
        """
        running = self._running
        if running is None:
            self._seen()
            return None
        with running.driver.lock:
            return running.core.partition

    def events(self) -> Subscription:
        """A new stream of events, from this call on, also before `start`; `event_buffer` events wait for its reader.

        Raises `ClosedError`.
        """
        if self.is_closed:
            raise ClosedError("this cluster object is closed; no events will come")
        return self._subscriptions.subscribe()

    def saved_events(self) -> tuple[SavedEvent, ...]:
        """What happened lately to members and the cluster, the oldest first, as far as this node keeps it over its end.

        1,000 at most; those of its earlier runs are among them. Raises `ConfigError` for a node without `state_dir`.
        """
        self._seen()
        if self._keeper is None:
            raise ConfigError("state_dir", None, "this node keeps nothing, and so no events; set a directory")
        return self._keeper.store.events()

    def health(self) -> Health:
        """How this node is doing."""
        return self._seen().health(is_running=self._phase is _Phase.RUNNING, subscribers=len(self._subscriptions))

    def stats(self) -> dict[str, int]:
        """All counters since the start, those of the transport under `transport_`, of its driver under `driver_`."""
        return self._seen().stats()

    def now(self) -> float:
        """The clock that `Member.since` is read from, in monotonic seconds."""
        return self._seen().now()

    # Inside

    async def _open(self, transport: Transport) -> _Running:
        loop = asyncio.get_running_loop()
        if self._keeper is not None:
            await self._recall(self._keeper)
        keeper = self._keeper
        config, sealed = self._config, None
        if self._keyring is not None:
            if self._save_keys is not None:
                self._keyring.subscribe(self._save_keys)
            transport = sealed = SealedTransport(
                transport,
                self._keyring,
                config,
                has_run_before=keeper is not None and keeper.has_run_before,
                access=None if self._identity is None else self._identity.access,
            )
            config = config.replace(max_datagram=config.max_datagram - OVERHEAD, keys=(), key_file=None)
        await transport.bind()
        try:
            if sealed is None and self._transport is None:
                check_exposure(config, transport.address)
            mint = NodeId.mint if keeper is None else keeper.mint
            info = NodeInfo(
                name=self._name,
                id=mint(time.time_ns() // 1_000_000, Random(secrets.randbits(128))),
                address=advertised_address(self._config, transport.address),
                tags=Tags(self._config.tags) if keeper is None else keeper.tags,
            )
            dialect = NativeDialect(self._config.cluster)
            core = Swim(config, info, dialect, Random(secrets.randbits(128)), loop.time(), self._identity)
            complaints, subscriptions = _Complaints(core, config), self._subscriptions
            core.is_heard = lambda: keeper is not None or len(subscriptions) > 0

            # The loop holds these, so they must not hold this object, or nobody would notice that it was dropped.
            def on_events(events: Sequence[Event]) -> None:
                complaints.look_at(events)
                subscriptions.push(events)
                if keeper is not None:
                    keeper.note(events, core.local)

            def on_wake(late: float) -> None:
                pulse.beat(driver, late)
                complaints.look_around()
                if revocations is not None:
                    revocations.look(loop)
                if keeper is not None:
                    keeper.look(core, loop.time())

            def on_revocations() -> None:
                with suppress(ClosedError):  # The file was read while the node closed.
                    driver.call(core.put_out_revoked)

            def on_leave(by: str) -> None:
                on_events([LeaveRequested(by)])
                if not core.is_leaving:
                    driver.call(core.leave)

            def members() -> tuple[Member, ...]:
                with driver.lock:
                    return core.members()

            pulse = _Pulse(core, loop.time)
            revocations = _revocation_file(self._config, self._identity, on_revocations)
            driver = Driver(
                core,
                transport,
                on_events=on_events,
                on_wake=on_wake,
                max_streams_out=self._config.max_streams_out,
                timer_slack=timer_slack(self._config),
            )
            keys = None
            if sealed is not None:
                keys = KeyRotation(sealed, members, lambda: core.local.id, self._config.stream_timeout)
                sealed.on_leave = on_leave
            self._running = self._view = _Running(core, driver, transport, loop, pulse, keys, keeper)
            if keeper is not None:
                keeper.save(core, loop.time())
                await _saved(keeper)  # Before anybody hears of this run, so that the next one's id is above its.
            pulse.start()
            await driver.start()
            waiting = _close_with_the_loop(ref(self))
            assert isinstance(waiting, AsyncGeneratorType)
            self._end_of_loop = waiting
            await anext(waiting)
        except BaseException:
            await transport.close()
            raise
        return self._running

    async def _recall(self, keeper: Keeper) -> None:
        """Begin where the last run ended."""
        await asyncio.get_running_loop().run_in_executor(None, keeper.open)
        if keeper.name is not None:
            self._name = keeper.name
            self._config = self._config.replace(name=self._name)
            self._identity = configured_identity(self._config)
        if self._keyring is not None:
            configured = configured_keys(self._config)
            keys = keeper.keys(configured)
            self._keyring = Keyring(keys, removed=[key.id for key in configured if key not in keys])
            ids = [bytes(key.id) for key in configured]
            self._keyring.subscribe(lambda keys: keeper.store.save_keys(keys, ids))

    async def _contact_seeds(self, running: _Running) -> None:
        peers = () if self._keeper is None else self._keeper.peers
        if not (self._config.seeds or peers):
            return
        with self.events() as events, suppress(TimeoutError):
            running.driver.call(running.core.join, self._config.seeds)
            running.driver.call(running.core.acquaint, peers)
            async with asyncio.timeout(self._config.join_timeout):
                while running.core.is_joining and not running.core.joined and await anext(events, None) is not None:
                    pass

    async def _shut_down(self) -> ShutdownReport:
        running, shutdown = self._running, self._shutdown
        if running is not None:
            await shutdown.run(ShutdownPhase.PROTOCOL, running.stop_protocol, _PHASE_TIME)
            await shutdown.run(ShutdownPhase.COMPANIONS, self._stop_companions, _PHASE_TIME)
        if self._keeper is not None:
            await shutdown.run(ShutdownPhase.STATE, partial(_let_go, self._keeper, running), _PHASE_TIME)
        if running is not None:
            await shutdown.run(ShutdownPhase.CONNECTIONS, running.driver.stop, _PHASE_TIME)
            self._view, self._running = running.last_words(), None
            shutdown.note(ShutdownPhase.TABLE, Outcome.DONE)
        self._subscriptions.close()
        shutdown.note(ShutdownPhase.EVENTS, Outcome.DONE)
        await self._forget_the_loop()
        report = shutdown.report()
        if running is not None:
            _log.log(
                logging.INFO if report.is_clean else logging.WARNING,
                "%s: closed: %s",
                self._name,
                report,
                extra={"event": "node_closed", "phases": {str(one.phase): str(one.outcome) for one in report.phases}},
            )
        return report

    async def _stop_companions(self) -> None:
        """All at once; the first one's error, when all have ended."""
        stopping = [asyncio.ensure_future(companion.stop()) for companion in self._companions]
        self._companions.clear()
        try:
            if stopping:
                await asyncio.wait(stopping)
        finally:
            for task in stopping:
                task.cancel()
        for task in stopping:
            task.result()

    async def _forget_the_loop(self) -> None:
        waiting, self._end_of_loop = self._end_of_loop, None
        if waiting is not None and not waiting.ag_running:
            await waiting.aclose()

    async def _until(self, is_spread: Callable[[], bool]) -> None:
        """Wait until news has spread, at most `leave_timeout`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._config.leave_timeout):
                while not (is_spread() or self.is_closed):  # noqa: ASYNC110 - the core tells of no single update
                    await asyncio.sleep(self._config.gossip_interval / 2)
                # Who heard it from our last packet tells it on in a round of its own.
                await asyncio.sleep(2 * self._config.gossip_interval)

    def _keys(self, so: str = "there are none to change") -> KeyRotation:
        keys = self._commanded().keys
        if keys is None:
            raise KeyringError(f"this node runs without keys, so {so}; set key_file or keys")
        return keys

    def _seen(self) -> _Running | _Last:
        """What reads look at."""
        if self._view is None:
            raise NotStartedError(_NOT_STARTED)
        return self._view

    def _here(self) -> _Running:
        """What commands work on; they belong to the event loop that the node was started on."""
        running = self._running
        if running is None:
            raise NotStartedError(_NOT_STARTED)
        self._own_loop.check()
        return running

    def _commanded(self) -> _Running:
        if self.is_closed:
            raise ClosedError("this cluster object is closed")
        return self._here()

    def _id_of(self, which: Member | NodeId | str) -> NodeId:
        if isinstance(which, Member):
            return which.id
        if isinstance(which, NodeId):
            return which
        member = self.member(which)
        if member is None:
            raise UnknownMemberError(f"no member is named {which!r}")
        return member.id


class _StallBlock(AsyncOnly, AbstractAsyncContextManager[None]):
    """A stall, declared for as long as an `async with` block lasts."""

    def __init__(self, cluster: Cluster, reason: str, at_most: float) -> None:
        self._cluster = cluster
        self._reason = reason
        self._at_most = at_most

    async def __aenter__(self) -> None:
        await self._cluster.declare_stall(self._reason, at_most=self._at_most)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(ClosedError):  # A node that has left or is closed has nothing to take back.
            await self._cluster.declare_stall(self._reason, at_most=0.0)


async def _saved(keeper: Keeper) -> bool:
    """Whether all that was given to the store is safe, as far as that can be told within a moment."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_PHASE_TIME):
            return await asyncio.wrap_future(keeper.store.flush())
    return False


def _revocation_file(
    config: ClusterConfig, identity: SignedIdentity | None, on_news: Callable[[], None]
) -> RevocationFile | None:
    if config.revocations is None or identity is None or identity.authority is None:
        return None
    return RevocationFile(config.revocations, identity.authority, on_news)


async def _let_go(keeper: Keeper, running: _Running | None) -> None:
    """Save what is left, and let go of the store. Raises `UnfinishedError` where it cannot be saved."""
    if running is not None:
        keeper.save(running.core, running.now())
    saved = keeper.store.flush()
    await asyncio.get_running_loop().run_in_executor(None, keeper.store.close)
    if not (saved.done() and saved.result()):
        raise UnfinishedError("what changed last could not be saved")


async def _close_with_the_loop(cluster: ref[Cluster]) -> AsyncGenerator[None]:
    """Waits for the end of the event loop, which closes the generators that it left open; then so does the node."""
    try:
        yield
    finally:
        node = cluster()
        if node is not None and not node.is_closed:
            await node.__aexit__(None, None, None)


def _as_bytes(payload: bytes | bytearray | memoryview) -> bytes:
    if not isinstance(payload, bytes | bytearray | memoryview):
        raise TypeError(f"a payload is bytes, not {type(payload).__name__}; encode it first")
    return bytes(payload)


def _default_name() -> str:
    """The host's name with a random suffix: readable, and unique without asking anybody."""
    printable = "".join(character for character in platform.node() if character.isprintable())
    host = printable.encode()[:_HOST_BYTES].decode(errors="ignore")
    return f"{host or 'node'}-{secrets.token_hex(3)}"
