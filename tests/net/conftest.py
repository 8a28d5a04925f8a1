"""Which loops the tests of this package run on, and a check after each that nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from shoal.net.loops import loop_factory
from tests.net.loops import VirtualClockLoop, WatchlessLoop

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

_DESCRIPTORS = Path("/dev/fd")
_OVER_SOCKETS: dict[str, LoopFactory] = {"asyncio": asyncio.new_event_loop, "watchless": WatchlessLoop}
if (_uvloop := loop_factory()) is not None:
    _OVER_SOCKETS["uvloop"] = _uvloop


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, LoopFactory]:
    if item.path.stem in {"test_transport", "test_udp", "test_streams", "test_sockets"}:
        return _OVER_SOCKETS
    return {"virtual": VirtualClockLoop}


@pytest.fixture(autouse=True)
async def nothing_is_left_behind() -> AsyncIterator[None]:
    tasks, sockets = _tasks(), _open_sockets()

    yield

    for _ in range(10):  # what closing has put off to later turns of the loop
        await asyncio.sleep(0)
    assert _tasks() == tasks
    assert _open_sockets() == sockets


def _tasks() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}


def _open_sockets() -> int:
    if not _DESCRIPTORS.is_dir():
        return 0
    return sum(_is_socket(int(name)) for name in os.listdir(_DESCRIPTORS))


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:  # the one that listed the directory
        return False
