"""Scenarios that come with the package, each a recipe: for a size and a seed it makes the steps.

A cluster first stands still for 15 s, as in the Lifeguard experiments, and the fault then begins at a random moment of
the probe interval.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

from shoal.errors import ConfigError
from shoal.sim import steps
from shoal.sim.ranges import MOST_NODES
from shoal.sim.scenario import AGREEMENT_BOUND, Scenario
from shoal.sim.steps import Step

__all__ = ["LEAST_NODES", "PRESETS", "Preset", "Setting", "preset"]

LEAST_NODES: Final = 4
"""Fewer nodes have no preset scenario."""

_QUIESCE: Final = 15.0
_SEEDS: Final = 3
_FORMED_WITHIN: Final = 45.0
"""Seconds after the last fault of a first start within which there is one cluster: the longest pause of a lonely node
is 30 s, and a quarter more."""
_OUT_WITHIN: Final = 60.0
"""Seconds after which nodes on a bad network have to be out."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a preset's steps are made from."""

    names: tuple[str, ...]
    random: Random
    pace: float
    """Factor for everything that waits for the protocol: the probe interval in seconds, at least 1."""

    @property
    def bound(self) -> float:
        """Seconds within which views shall agree after the last fault."""
        return AGREEMENT_BOUND * self.pace

    def some(self, count: float) -> tuple[str, ...]:
        """So many of the nodes, at least one and not all."""
        return tuple(self.random.sample(self.names, max(1, min(math.ceil(count), len(self.names) - _SPARED))))

    def quiesce(self) -> tuple[Step, ...]:
        """Start all and let time pass, ending at a random moment of the probe interval."""
        return (steps.StartAll(), steps.Wait(round(_QUIESCE + self.random.random() * self.pace, 3)))


Maker = Callable[..., tuple[Step, ...]]


@dataclass(frozen=True, slots=True)
class Preset:
    """A named scenario."""

    name: str
    summary: str
    """What happens, in one line."""
    nodes: int
    """How many there are unless said otherwise."""
    make: Maker = field(repr=False)
    formed: bool = True
    """Whether the nodes know each other from the start."""

    @property
    def parameters(self) -> Mapping[str, float]:
        """What can be set, with its defaults: the keyword-only arguments of `make`."""
        arguments = inspect.signature(self.make).parameters.values()
        return {one.name: one.default for one in arguments if one.kind is inspect.Parameter.KEYWORD_ONLY}

    def scenario(self, seed: int, nodes: int | None = None, pace: float = 1.0, **parameters: float) -> Scenario:
        """The scenario for one seed.

        `pace` is the profile's probe interval in seconds, for those slower than 1 s. Raises `ConfigError` for too few
        or too many nodes and for an unknown or bad parameter.
        """
        nodes = nodes or self.nodes
        if nodes < LEAST_NODES:
            raise ConfigError("nodes", nodes, f"{self.name} needs at least {LEAST_NODES}")
        if nodes > MOST_NODES:
            raise ConfigError("nodes", nodes, f"{self.name} takes at most {MOST_NODES}")
        self._check(parameters, nodes)
        names = tuple(f"n{index}" for index in range(nodes))
        setting = Setting(names, Random(f"{seed}/{self.name}"), max(1.0, pace))
        made = self.make(setting, **parameters)
        return Scenario(seed, nodes, made, seeds=_SEEDS, formed=self.formed)

    def _check(self, parameters: Mapping[str, float], nodes: int) -> None:
        for name, value in parameters.items():
            if name not in self.parameters:
                known = ", ".join(self.parameters) or "none"
                raise ConfigError(name, value, f"{self.name} has no such parameter; it has: {known}")
            _check_parameter(name, value, nodes)


def _check_parameter(name: str, value: float, nodes: int) -> None:
    if name in _COUNTS:
        most = _COUNTS[name](nodes)
        if not 1 <= value <= most or value != int(value):
            raise ConfigError(name, value, f"must be a whole number from 1 to {most}, with {nodes} nodes")
    elif name == "share":
        if not 0 < value <= (nodes - _SPARED) / nodes:
            most = nodes - _SPARED
            raise ConfigError(
                name, value, f"must be above 0 and at most {_floor(most / nodes)}: {most} of {nodes} nodes"
            )
    elif name in _LOSSES:
        if not 0 < value <= 1:
            raise ConfigError(name, value, "must be above 0 and at most 1")
    elif not 0 < value <= _LONGEST:
        raise ConfigError(name, value, f"must be above 0 and at most {_LONGEST} seconds")


def _floor(share: float) -> str:
    """In three digits, which are not above it."""
    return f"{math.floor(share * 1000) / 1000:g}"


_LONGEST: Final = 3600
_SPARED: Final = 2
"""Nodes to which nothing happens, so that there are views to compare."""
_LOSSES: Final = frozenset({"ingress", "egress"})
_COUNTS: Final[Mapping[str, Callable[[int], int]]] = {
    **dict.fromkeys(("concurrent", "sick"), lambda nodes: nodes - _SPARED),
    "batches": lambda nodes: nodes,
}
"""Parameters that count nodes or groups of them, and their most."""


def preset(name: str) -> Preset:
    """The preset of that name; raises `ConfigError` for an unknown one."""
    if name not in PRESETS:
        raise ConfigError("scenario", name, f"is neither a file nor a preset; the presets are {', '.join(PRESETS)}")
    return PRESETS[name]


def _in_time(planned: Iterable[tuple[float, Step]]) -> tuple[Step, ...]:
    """Steps at their times, in seconds from the first moment on, as steps with waits between."""
    made: list[Step] = []
    now = 0.0
    for time, step in sorted(planned, key=lambda entry: entry[0]):
        if time > now:
            made.append(steps.Wait(round(time - now, 6)))
            now = time
        made.append(step)
    return tuple(made)


def _crash(setting: Setting) -> tuple[Step, ...]:
    (victim,) = setting.some(1)
    return (*setting.quiesce(), steps.Crash(victim), steps.Agree(setting.bound, stay=5.0))


def _churn(setting: Setting, *, seconds: float = 60.0, every: float = 2.0) -> tuple[Step, ...]:
    random, size = setting.random, len(setting.names)
    up, drawn, time = list(setting.names), list(setting.quiesce()), 0.0
    down: list[str] = []
    while (time := time + random.expovariate(1 / every)) < seconds:
        if down and (len(down) > size // 4 or random.random() < 0.5):
            up.append(name := down.pop(random.randrange(len(down))))
            drawn.append(steps.Restart(name))
        else:
            down.append(name := up.pop(random.randrange(len(up))))
            drawn.append(steps.Leave(name) if random.random() < 0.5 else steps.Crash(name))
        drawn.append(steps.Wait(round(random.expovariate(1 / every), 3)))
    drawn += [steps.Restart(name) for name in down]
    return (*drawn, steps.Agree(setting.bound, stay=5.0))


def _partition(setting: Setting, *, seconds: float = 40.0, share: float = 0.5) -> tuple[Step, ...]:
    one = setting.some(share * len(setting.names))
    other = tuple(name for name in setting.names if name not in one)
    apart = steps.Wait(seconds * setting.pace)
    healed = steps.Agree(setting.bound, stay=5.0)
    return (*setting.quiesce(), steps.Partition((one, other)), apart, steps.Heal(), healed)


def _flap(setting: Setting, *, share: float = 0.01, off: float = 20.0, on: float = 20.0) -> tuple[Step, ...]:
    sick = setting.some(share * len(setting.names))
    drawn = list(setting.quiesce())
    for _ in range(3):
        for loss, seconds in ((1.0, off), (0.0, on)):
            drawn += [steps.SetNodeLoss(name, ingress=loss) for name in sick]
            drawn.append(steps.Wait(seconds))
    return (*drawn, steps.Agree(setting.bound, stay=5.0))


def _hard_ingress(
    setting: Setting, *, sick: float = 1, off: float = 20.0, on: float = 20.0, seconds: float = 180.0
) -> tuple[Step, ...]:
    bad = setting.some(sick)
    planned: list[tuple[float, Step]] = []
    for cycle in range(math.ceil(seconds / (off + on))):
        for begin, loss in ((cycle * (off + on), 1.0), (cycle * (off + on) + off, 0.0)):
            planned += [(begin, steps.SetNodeLoss(name, ingress=loss)) for name in bad]
    return (*setting.quiesce(), *_watched(planned, bad, seconds))


def _hard_loss(
    setting: Setting, *, sick: float = 1, ingress: float = 0.8, egress: float = 0.8, seconds: float = 180.0
) -> tuple[Step, ...]:
    bad = setting.some(sick)
    planned: list[tuple[float, Step]] = [(0.0, steps.SetNodeLoss(name, ingress, egress)) for name in bad]
    return (*setting.quiesce(), *_watched(planned, bad, seconds))


def _watched(planned: list[tuple[float, Step]], bad: tuple[str, ...], seconds: float) -> tuple[Step, ...]:
    """Faults at their times, while from `_OUT_WITHIN` on nobody selects the bad ones."""
    planned = [(time, step) for time, step in planned if time < seconds]
    planned.append((_OUT_WITHIN, steps.AgreeWithout(bad, at_most=0.0)))
    made: list[Step] = []
    for step in _in_time([*planned, (seconds, steps.Repair())]):
        if isinstance(step, steps.Wait) and any(isinstance(one, steps.AgreeWithout) for one in made):
            made.append(steps.AgreeWithout(bad, at_most=0.0, stay=step.seconds))
        else:
            made.append(step)
    return tuple(made)


def _slow_nodes(
    setting: Setting, *, share: float = 0.125, delay: float = 0.1, seconds: float = 60.0
) -> tuple[Step, ...]:
    slow = [steps.SlowCpu(name, delay) for name in setting.some(share * len(setting.names))]
    return (*setting.quiesce(), *slow, steps.Wait(seconds), steps.Repair(), steps.Agree(setting.bound, stay=5.0))


def _lifeguard_threshold(setting: Setting, *, concurrent: float = 4, blocked: float = 16.384) -> tuple[Step, ...]:
    sick = setting.some(concurrent)
    return (
        *setting.quiesce(),
        *map(steps.BlockIo, sick),
        steps.Wait(blocked),
        *map(steps.UnblockIo, sick),
        steps.Agree(120.0 * setting.pace),
    )


def _lifeguard_interval(
    setting: Setting, *, concurrent: float = 4, blocked: float = 8.192, normal: float = 0.256, seconds: float = 120.0
) -> tuple[Step, ...]:
    sick = setting.some(concurrent)
    cycle: tuple[Step, ...] = (
        *map(steps.BlockIo, sick),
        steps.Wait(blocked),
        *map(steps.UnblockIo, sick),
        steps.Wait(normal),
    )
    return (*setting.quiesce(), *cycle * math.ceil(seconds / (blocked + normal)))


def _join_storm(setting: Setting, *, seconds: float = 10.0) -> tuple[Step, ...]:
    first, *others = setting.names
    gap = seconds / len(others)
    joins = [(number * gap, steps.Start(name)) for number, name in enumerate(others, start=1)]
    return (steps.Start(first), steps.Wait(10.0), *_in_time(joins), steps.Agree(setting.bound, stay=5.0))


def _rolling_restart(
    setting: Setting, *, batches: float = 8, grace: float = 2.0, pause: float = 8.0
) -> tuple[Step, ...]:
    drawn = list(setting.quiesce())
    order = setting.random.sample(setting.names, len(setting.names))
    size = math.ceil(len(order) / batches)
    for first in range(0, len(order), size):
        batch = order[first : first + size]
        drawn += [*map(steps.Drain, batch), steps.Wait(grace), *map(steps.Leave, batch), steps.Wait(pause)]
        drawn += [*map(steps.Restart, batch), steps.Wait(pause / 4)]
    return (*drawn, steps.Agree(setting.bound, stay=5.0))


def _rack_loss(setting: Setting, *, share: float = 0.25) -> tuple[Step, ...]:
    rack = [steps.Crash(name, silent=True) for name in setting.some(share * len(setting.names))]
    return (*setting.quiesce(), *rack, steps.Agree(setting.bound, stay=5.0))


def _power_cut(setting: Setting, *, seconds: float = 20.0, spread: float = 5.0) -> tuple[Step, ...]:
    """The machines come back within `spread` seconds; half of the seeds have them find each other without any seed."""
    off = [steps.Crash(name, silent=True) for name in setting.names]
    recall = setting.random.random() < 0.5
    on = [(setting.random.uniform(0.0, spread), steps.Start(name, recall=recall)) for name in setting.names]
    return (*setting.quiesce(), *off, steps.Wait(seconds), *_in_time(on), steps.Agree(setting.bound, stay=5.0))


def _bootstrap(setting: Setting, *, spread: float = 2.0, down: float = 30.0, apart: float = 30.0) -> tuple[Step, ...]:
    """All start within `spread` seconds, some of the seeds `down` seconds later, half of the runs in two parts."""
    random = setting.random
    late = random.sample(setting.names[:_SEEDS], random.randint(0, _SEEDS))
    planned: list[tuple[float, Step]] = [
        (random.uniform(0.0, spread) + (down if name in late else 0.0), steps.Start(name)) for name in setting.names
    ]
    if random.random() < 0.5:
        one = setting.some(len(setting.names) / 2)
        other = tuple(name for name in setting.names if name not in one)
        planned += [(0.0, steps.Partition((one, other))), (spread + apart, steps.Heal())]
    return (*_in_time(planned), steps.Agree(_FORMED_WITHIN * setting.pace, stay=5.0))


def _gc_pauses(
    setting: Setting, *, seconds: float = 60.0, every: float = 3.0, longest: float = 5.0
) -> tuple[Step, ...]:
    random, time = setting.random, 0.0
    planned: list[tuple[float, Step]] = []
    free_at = dict.fromkeys(setting.names, 0.0)
    while (time := time + random.expovariate(1 / every)) < seconds:
        name = random.choice(setting.names)
        if free_at[name] <= time:
            free_at[name] = time + random.uniform(0.1, longest)
            planned += [(time, steps.Freeze(name)), (free_at[name], steps.Thaw(name))]
    return (*setting.quiesce(), *_in_time(planned), steps.Agree(setting.bound, stay=5.0))


PRESETS: Final[Mapping[str, Preset]] = {
    one.name: one
    for one in (
        Preset("crash", "one process dies", 32, _crash),
        Preset("churn", "processes die, leave and come back, again and again", 16, _churn),
        Preset("partition", "two parts do not reach each other, then they do", 16, _partition),
        Preset("flap", "some nodes hear nothing for 20 s, three times (after Rapid's experiments)", 32, _flap),
        Preset(
            "hard-ingress", "some nodes hear nothing for 20 s, again and again, and must stay out", 100, _hard_ingress
        ),
        Preset("hard-loss", "some nodes lose most packets, and must stay out", 100, _hard_loss),
        Preset("slow-nodes", "some nodes need long for each packet", 32, _slow_nodes),
        Preset("lifeguard-threshold", "some nodes' I/O blocks once (Lifeguard)", 128, _lifeguard_threshold),
        Preset("lifeguard-interval", "some nodes' I/O blocks again and again (Lifeguard)", 128, _lifeguard_interval),
        Preset("join-storm", "all join within seconds through one seed", 32, _join_storm, formed=False),
        Preset("rolling-restart", "all nodes drain, leave and come back, batch by batch", 32, _rolling_restart),
        Preset("rack-loss", "many machines vanish at once", 32, _rack_loss),
        Preset("power-cut", "all machines vanish at once, and start again", 32, _power_cut),
        Preset("bootstrap", "all start for the first time, with seeds down or cut off", 16, _bootstrap, formed=False),
        Preset("gc-pauses", "processes stop for seconds, and go on", 32, _gc_pauses),
    )
}
"""All presets by name."""
