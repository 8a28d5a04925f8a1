"""A close watch on one member: direct heartbeats, and phi as often as they go out.

async with watch(cluster, "gpu-7", interval=0.2) as gpu_7:
    async for reading in gpu_7:
        if reading.phi > 8: ...  # fail over; the membership decides for itself, and later
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final, Self

from shoal.cluster import Cluster
from shoal.companion import CompanionTask
from shoal.errors import ConfigError, LifecycleError, NotStartedError, UnknownMemberError
from shoal.health.phi import PhiDetector
from shoal.swim.heartbeats import Heartbeat
from shoal.types import Member, NodeId

__all__ = ["Reading", "Watch", "watch"]

_MAX_OPEN: Final = 64
"""Heartbeats whose answers are still looked for; later ones would tell nothing that a newer one has not told."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a watch knows at one moment."""

    phi: float
    """How suspicious the silence is: see `PhiDetector`."""
    at: float
    """When, by `Cluster.now`."""
    elapsed: float
    """Seconds since the last answer, or since the watch began; without those in which this node itself did not run."""
    round_trip: float | None
    """How long the last answer took, in seconds; None before the first."""


class Watch(CompanionTask):
    """Heartbeats to one run of one member for as long as the `async with` block lasts.

    `phi` and `reading` are current at any time. Iterating gives a reading after each heartbeat; a slow reader gets the
    newest one, and nothing piles up. The iteration ends when the node closes and, at the latest one interval later,
    when it leaves or forgets the member.
    """

    def __init__(self, cluster: Cluster, target: NodeId, interval: float, detector: PhiDetector) -> None:
        super().__init__(cluster, f"watch of {target}")
        self._target = target
        self._interval = interval
        self._detector = detector
        self._open: deque[Heartbeat] = deque(maxlen=_MAX_OPEN)
        self._round_trip: float | None = None
        self._news = asyncio.Event()
        self._is_over = False

    @property
    def reading(self) -> Reading:
        """What is known now, also between two heartbeats."""
        self._take_answers()
        now = self._cluster.now()
        return Reading(self._detector.phi(now), now, self._detector.elapsed(now), self._round_trip)

    @property
    def phi(self) -> float:
        """How suspicious the member's silence is now."""
        return self.reading.phi

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Reading:
        if self._task is None:
            raise NotStartedError("this watch has not begun; use 'async with'")
        await self._news.wait()
        if self._is_over:
            raise StopAsyncIteration
        self._news.clear()
        return self.reading

    async def _begin(self) -> None:
        await self._send()
        # As if it had just been heard, so that a member that never answers becomes suspicious too.
        self._detector.heartbeat(self._cluster.now())

    async def _run(self) -> None:
        try:
            due = self._cluster.now()
            while True:
                due += self._interval
                await asyncio.sleep(max(0.0, due - self._cluster.now()))
                now = self._cluster.now()
                if now - due > self._interval:  # This process did not run, so it neither asked nor heard.
                    self._detector.forgive(now - due, now)
                    due = now
                self._take_answers()
                await self._send()
                self._news.set()
        except (LifecycleError, UnknownMemberError):
            pass  # The node or the member is gone; the iteration says so by its end.
        finally:
            self._is_over = True
            self._news.set()

    async def _send(self) -> None:
        self._open.append(await self._cluster.heartbeat(self._target))

    def _take_answers(self) -> None:
        answered = [(heartbeat.answered, heartbeat) for heartbeat in self._open if heartbeat.answered is not None]
        for at, heartbeat in sorted(answered, key=lambda answer: answer[0]):
            self._open.remove(heartbeat)
            self._detector.heartbeat(at)
            self._round_trip = at - heartbeat.sent


def watch(
    cluster: Cluster,
    member: Member | NodeId | str,
    interval: float = 0.2,
    detector: PhiDetector | None = None,
) -> Watch:
    """A watch on one run of another member: the newest of that name, or that id. Enter it with `async with`.

    `interval` is in seconds, 0.01 to 60. The default `detector` reaches phi 8 after a silence of 2.4 intervals, more
    where answers come irregularly; give one with a `pause` for peers that stall. Raises `ConfigError`,
    `UnknownMemberError` and `NotStartedError`.
    """
    if not 0.01 <= interval <= 60.0:
        raise ConfigError("interval", interval, "must be 0.01 to 60 seconds")
    found = cluster.member(member.id if isinstance(member, Member) else member)
    if found is None:
        raise UnknownMemberError(f"no member is known as {member!r}")
    return Watch(cluster, found.id, interval, detector or PhiDetector(interval, least_deviation=interval / 4))
