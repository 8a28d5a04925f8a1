"""How memberlist's process differs from a core on one event loop: loops that tick, and that wait in their own sends.

Both differences decide how many false deaths the published experiments count, so the study can put them before the
core's own timers. It is the one place where the study reaches into a core.

- *Gossip ticks.* memberlist gossips at fixed ticks, every 200 ms; this core sends the first news at once. A suspicion
  and its refutation take about a second there, and some milliseconds here. `tick_gossip` gives a core memberlist's
  ticks.
- *Stuck loops.* `SimNode.block_io` alone lets the whole core go on: in a block of 30 s it starts 30 probes, and all 30
  targets become suspects. memberlist has one probe loop. Blocked in a send it starts nothing further, and when the
  block ends the time of that one probe is long over: one suspect per block. Its gossip loop, likewise, adds one round
  per block. Only suspicions, which are timers of their own, expire meanwhile. `Stuck` holds both loops back like that.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from math import ceil
from random import Random
from typing import Final

from shoal.sim.node import SimNode
from shoal.swim.timers import Timer, Timers

__all__ = ["ProcessModel", "Stuck", "tick_gossip"]

_JUST_BEFORE: Final = 1e-6
_ROUNDING: Final = 1e-9

_Action = Callable[[float], None]


class ProcessModel(StrEnum):
    """What goes on in a process whose input and output are blocked."""

    LOOPS = "loops"
    """One probe loop and one gossip loop, each stuck in a send; suspicions expire (memberlist)."""
    TIMERS = "timers"
    """Everything but input and output (`SimNode.block_io`)."""
    FROZEN = "frozen"
    """Nothing: one thread does all, and it is stuck (`SimNode.freeze`), as a Python process would be."""


def tick_gossip(node: SimNode, seed: str) -> None:
    """Let a node that has just started gossip at fixed ticks only, in a phase of its own."""
    interval = node.config.gossip_interval
    phase = Random(f"{seed}/ticks/{node.name}").random() * interval
    gossiper = node.core._gossiper
    gossiper._timers = _Ticks(gossiper._timers, interval, phase)


class _Ticks(Timers):
    """Timers that are due at ticks only."""

    __slots__ = ("_inner", "_interval", "_phase")

    def __init__(self, inner: Timers, interval: float, phase: float) -> None:
        super().__init__()
        self._inner = inner
        self._interval = interval
        self._phase = phase

    def at(self, deadline: float, action: _Action) -> Timer:
        """Call `action` at the first tick from `deadline` on."""
        ticks = ceil((deadline - self._phase) / self._interval - _ROUNDING)
        return self._inner.at(self._phase + ticks * self._interval, action)


class Stuck:
    """Lets the probe loop and the gossip loop of one node wait while the node is blocked."""

    def __init__(self, node: SimNode) -> None:
        self.until = 0.0
        """When the present block ends; set it when the block begins."""
        prober, gossiper = node.core._prober, node.core._gossiper
        self._node = node
        self._probes = prober._probes
        self._begin, self._conclude = prober._begin, prober._conclude
        self._round = gossiper._round
        prober._timers = _Gate(prober._timers, self._due)
        gossiper._timers = _Gate(gossiper._timers, self._due)

    def _due(self, action: _Action) -> float:
        """When `action`, whose time has come, can run; 0 if at once."""
        if not self._node.is_blocked:
            return 0.0
        if isinstance(action, partial) and action.func == self._conclude:
            # The loop wakes up with the time of its probe over, before any waiting ack is read.
            return self.until - _JUST_BEFORE
        if action == self._round or (action == self._begin and self._probes):
            return self.until
        return 0.0


class _Gate(Timers):
    """Timers that ask, when one is due, whether it must wait; while blocked, nothing comes that would cancel one."""

    __slots__ = ("_due", "_inner")

    def __init__(self, inner: Timers, due: Callable[[_Action], float]) -> None:
        super().__init__()
        self._inner = inner
        self._due = due

    def at(self, deadline: float, action: _Action) -> Timer:
        """Call `action` at `deadline`, or when it need no longer wait."""
        return self._inner.at(deadline, partial(self._try, action))

    def _try(self, action: _Action, now: float) -> None:
        due = self._due(action)
        if now < due:
            self._inner.at(due, partial(self._try, action))
        else:
            action(now)
