"""A task that works through a node, for as long as an `async with` block lasts, and at most as long as the node."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from shoal.cluster import Cluster
from shoal.errors import AlreadyStartedError
from shoal.net.loops import AsyncOnly

__all__ = ["CompanionTask"]


class CompanionTask(AsyncOnly, ABC):
    """Runs `_run` between the start and the end of the block; a `Companion` of the node. One object is one block."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        """`name` is what the task and errors call it."""
        self._cluster = cluster
        self._name = name
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._task is not None:
            raise AlreadyStartedError(f"this {self._name} has begun already; make a new one")
        await self._begin()
        self._task = asyncio.create_task(self._run(), name=f"shoal {self._name}")
        self._cluster.attach(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._cluster.detach(self)
        await self.stop()

    async def stop(self) -> None:
        """End; the node does that when it closes. May be called again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _begin(self) -> None:
        """What must have succeeded before the block is entered; most have nothing to do."""

    @abstractmethod
    async def _run(self) -> None:
        """What the task does until it is cancelled, or has nothing left to do."""
