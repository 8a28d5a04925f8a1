"""What a run needs of the machine, looked up before anything is started."""

from __future__ import annotations

import math
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from shoal.bench.plan import BenchError, Plan

if sys.platform != "win32":
    import resource

__all__ = ["allow_files", "check", "files_needed"]

_SOCKETS_PER_NODE: Final = 2
"""One for datagrams, one that listens for streams."""
_SPARE_FILES: Final = 1024
"""Of a process: the event loop's own, and the streams of nodes that join."""
_SPARE_PORTS: Final = 1024
"""For the streams that nodes open while they join."""
_FIRST_FREE_PORT: Final = 1024
_PROCESS_BYTES: Final = 40 << 20
_NODE_BYTES: Final = 40 << 10
"""Of a node that knows nobody: its sockets, its core, its counters."""
_MEMBER_BYTES: Final = 64
"""Of a node for each member that it knows, at the least: its process has each record once."""


def files_needed(plan: Plan) -> int:
    """How many files the fullest process of a run has open."""
    return len(plan.share_of(0)) * _SOCKETS_PER_NODE + _SPARE_FILES


def check(plan: Plan) -> None:
    """Raise `BenchError` if this machine's limits do not admit the run; a soft limit that can be raised does."""
    _check_files(plan)
    _check_ports(plan)
    _check_memory(plan)


def allow_files(needed: int) -> None:
    """Raise this process's soft limit of open files as far as `needed`, where the hard one allows it."""
    if sys.platform != "win32":
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < needed:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _check_files(plan: Plan) -> None:
    if sys.platform == "win32":
        return
    needed, hard = files_needed(plan), resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or needed <= hard:
        return
    message = f"{len(plan.share_of(0)):,} nodes in a process need {needed:,} open files, the hard limit is {hard:,}: "
    if hard > _SPARE_FILES + _SOCKETS_PER_NODE:
        processes = math.ceil(plan.nodes / ((hard - _SPARE_FILES) // _SOCKETS_PER_NODE))
        message += f"use --processes {processes}, or "
    raise BenchError(f"{message}raise it (as root: ulimit -Hn {needed})")


def _check_ports(plan: Plan) -> None:
    try:
        first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split())
    except (OSError, ValueError):
        return  # not Linux; the attempt to bind will tell
    needed, there = plan.nodes + _SPARE_PORTS, last - first + 1
    if needed <= there:
        return
    remedy = "use fewer nodes"
    if needed <= last - _FIRST_FREE_PORT:
        remedy += f', or widen the range (as root: sysctl net.ipv4.ip_local_port_range="{last + 1 - needed} {last}")'
    raise BenchError(
        f"{plan.nodes:,} nodes need {needed:,} free ports, the system gives out {there:,} ({first} to {last}): {remedy}"
    )


def _check_memory(plan: Plan) -> None:
    needed = plan.processes * _PROCESS_BYTES + plan.nodes * (_NODE_BYTES + plan.nodes * _MEMBER_BYTES)
    there = _memory_available()
    if there is not None and needed > there:
        raise BenchError(
            f"{plan.nodes:,} nodes that know each other need {needed / 1e9:.1f} GB of memory at the least "
            f"({_MEMBER_BYTES} bytes a member), {there / 1e9:.1f} GB are available: use fewer nodes, or free some"
        )


def _memory_available() -> int | None:
    """Bytes that new processes can take without swapping; None where the system does not tell."""
    try:
        text = Path("/proc/meminfo").read_text("ascii")
        available = int(text.partition("MemAvailable:")[2].split()[0]) << 10
    except (OSError, ValueError, IndexError):
        return None
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # most have no limit of their own
        most, used = (int((group / name).read_text("ascii")) for name in ("memory.max", "memory.current"))
        available = min(available, most - used)
    return available
