"""Whether the steps of a scenario file follow from each other: who there is, and whose process runs, step by step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from shoal.sim import steps
from shoal.sim.steps import Step
from shoal.types import is_node_name

__all__ = ["Course"]

_NODE_FIELDS: Final = ("node", "nodes", "sides", "sources", "targets")
_NEEDS_PROCESS: Final = (
    steps.Crash, steps.Leave, steps.Drain, steps.Freeze, steps.Thaw, steps.BlockIo, steps.UnblockIo, steps.SetTags,
    steps.Broadcast,
)  # fmt: skip
_COMMANDS: Final = (steps.Leave, steps.Drain, steps.SetTags, steps.Broadcast)
_NAME: Final = "must be 1 to 128 bytes without control characters"

_RUNS: Final = "runs"
_NEVER_RAN: Final = "was not started yet"
_CRASHED: Final = "has crashed"
_FROZEN: Final = "is frozen"
_LEAVES: Final = "has left"


class Course:
    """Keeps book while the steps of a scenario are read."""

    def __init__(self, nodes: int, zones: Mapping[str, tuple[str, ...]]) -> None:
        self._first = nodes
        self._zones = zones
        self._state = dict.fromkeys((f"n{index}" for index in range(nodes)), _NEVER_RAN)

    def problems(self, step: Step) -> Iterator[str]:
        """What is wrong with the next step: each a field, its value and what is allowed."""
        if isinstance(step, steps.Start):
            yield from self._problems_of_start(step)
        else:
            yield from self._problems_of_names(step)
            yield from self._problems_of_process(step)
        if isinstance(step, steps.SetZoneLink):
            yield from self._problems_of_zone_names(step)

    def problems_of_zones(self) -> Iterator[str]:
        """What is wrong with the zones, once all steps were taken: they may have nodes that a step starts."""
        zone_of: dict[str, str] = {}
        for zone, names in self._zones.items():
            for name in names:
                if name not in self._state:
                    yield f"{zone} = {name!r}: there is no such node; there are {self._known}"
                if name in zone_of:
                    yield f"{zone} = {name!r}: is in {zone_of[name]} already; each node has one zone"
                zone_of[name] = zone

    def take(self, step: Step) -> None:
        """The step happens."""
        match step:
            case steps.StartAll():
                self._state = {name: _RUNS if now == _NEVER_RAN else now for name, now in self._state.items()}
            case steps.Repair():
                self._state = {name: _RUNS if now == _FROZEN else now for name, now in self._state.items()}
            case steps.Start() | steps.Restart() | steps.Thaw():
                self._state[step.node] = _RUNS
            case steps.Crash():
                self._state[step.node] = _CRASHED
            case steps.Freeze():
                self._state[step.node] = _FROZEN
            case steps.Leave():
                self._state[step.node] = _LEAVES

    def _problems_of_start(self, step: steps.Start) -> Iterator[str]:
        for field, name in (("node", step.node), ("known_as", step.known_as)):
            if name is not None and not is_node_name(name):
                yield f"{field} = {name!r}: {_NAME}"
        if self._state.get(step.node) in {_RUNS, _FROZEN}:
            yield f"node = {step.node!r}: runs already; let it crash or leave first, or restart it"

    def _problems_of_names(self, step: Step) -> Iterator[str]:
        for field in _NODE_FIELDS:
            value = getattr(step, field, None)
            for name in _flat(value):
                if name not in self._state:
                    yield f"{field} = {name!r}: there is no such node yet; there are {self._known}"
            if value is not None and _is_empty(value):
                yield f"{field} = {_plain(value)!r}: must name at least one node" + " on each side" * (field == "sides")
        if isinstance(step, steps.Partition):
            yield from _problems_of_sides(step)

    def _problems_of_zone_names(self, step: steps.SetZoneLink) -> Iterator[str]:
        for zone in step.zones:
            if zone not in self._zones:
                yield f"zones = {zone!r}: there is no such zone; [zones] has {', '.join(self._zones) or 'none'}"

    def _problems_of_process(self, step: Step) -> Iterator[str]:
        if not isinstance(step, _NEEDS_PROCESS):
            return
        state = self._state.get(step.node, _RUNS)
        may_be = {_RUNS} if isinstance(step, _COMMANDS) else {_RUNS, _FROZEN}
        if isinstance(step, steps.Crash):
            may_be.add(_LEAVES)
        if state not in may_be:
            remedy = "thaw it first" if state == _FROZEN else "start it first"
            yield f"node = {step.node!r}: {state}; {remedy}"

    @property
    def _known(self) -> str:
        first = "n0" if self._first == 1 else f"n0 to n{self._first - 1}"
        return ", ".join((first, *list(self._state)[self._first :]))


def _problems_of_sides(step: steps.Partition) -> Iterator[str]:
    if len(step.sides) < 2:
        yield f"sides = {_plain(step.sides)!r}: must be two sides or more"
    for name, count in Counter(_flat(step.sides)).items():
        if count > 1:
            yield f"sides = {name!r}: is there {count} times; each node has one side"


def _flat(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    else:
        for item in value or ():
            yield from _flat(item)


def _is_empty(value: Any) -> bool:
    """Whether a list of nodes is empty, or one of several."""
    return value == () or (isinstance(value, tuple) and () in value)


def _plain(value: Any) -> Any:
    """As the file has it."""
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
