"""What can happen in a scenario: each step is a value that says what it is in a few words and knows how to happen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from shoal.errors import MessageTooLargeError, ShoalError
from shoal.sim.cluster import SimCluster
from shoal.sim.invariants import Moment, views_agree
from shoal.sim.network import Link, StreamMode
from shoal.sim.node import SimNode
from shoal.sim.ranges import CLOCK_RATES, require
from shoal.types import MemberState

__all__ = [
    "Agree",
    "AgreeWithout",
    "BlockIo",
    "Broadcast",
    "ClockRate",
    "Crash",
    "Cut",
    "Drain",
    "Freeze",
    "Heal",
    "ImpossibleStepError",
    "Leave",
    "Partition",
    "Repair",
    "Restart",
    "ScenarioFailed",
    "SetLink",
    "SetLoss",
    "SetNodeLoss",
    "SetRate",
    "SetStreams",
    "SetTags",
    "SetZoneLink",
    "SlowCpu",
    "Start",
    "StartAll",
    "Step",
    "Thaw",
    "UnblockIo",
    "Wait",
]


class ScenarioFailed(AssertionError):
    """A step expected something that did not come to pass."""


class ImpossibleStepError(ShoalError):
    """A step asks for what the settings of the nodes do not admit."""

    def __init__(self, step: Step, problem: ShoalError) -> None:
        super().__init__(f"{step}: {problem}")


class Step(Protocol):
    """One thing that happens; its text says it in a few words."""

    def apply(self, cluster: SimCluster, /) -> None:
        """Let it happen."""
        ...


@dataclass(frozen=True, slots=True)
class StartAll:
    """Every node that never ran starts."""

    def apply(self, cluster: SimCluster) -> None:
        """Start them."""
        cluster.start_all()

    def __str__(self) -> str:
        return "start all"


@dataclass(frozen=True, slots=True)
class Start:
    """A node starts, for the first time or again under its name; a node of a new name is added."""

    node: str
    clock_step: float = 0.0
    """Seconds by which its wall clock is ahead."""
    known_as: str | None = None
    """The name that an added node claims in the cluster, if not its own: that of another is a conflict."""
    recall: bool = False
    """Whether it joins through the peers that its last run had saved, in the place of its seeds."""

    def apply(self, cluster: SimCluster) -> None:
        """Start it."""
        if self.node not in cluster.nodes:
            cluster.add_node(self.node, known_as=self.known_as)
        cluster.start(self.node, clock_step=self.clock_step, recall=self.recall)

    def __str__(self) -> str:
        claim = f" as another {self.known_as}" if self.known_as else ""
        claim += " through its saved peers" if self.recall else ""
        return f"start {self.node}{claim}" + (f", clock off by {self.clock_step:g} s" if self.clock_step else "")


@dataclass(frozen=True, slots=True)
class Crash:
    """A node's process dies."""

    node: str
    silent: bool = False
    """Whether the whole machine vanishes."""

    def apply(self, cluster: SimCluster) -> None:
        """Kill it."""
        cluster.crash(self.node, silent=self.silent)

    def __str__(self) -> str:
        return f"crash {self.node}" + (" with its machine" if self.silent else "")


@dataclass(frozen=True, slots=True)
class Restart:
    """A node's process dies and starts again at once, under its name."""

    node: str
    clock_step: float = 0.0
    """Seconds by which its wall clock is ahead."""

    def apply(self, cluster: SimCluster) -> None:
        """Restart it."""
        cluster.restart(self.node, clock_step=self.clock_step)

    def __str__(self) -> str:
        return f"restart {self.node}" + (f", clock off by {self.clock_step:g} s" if self.clock_step else "")


@dataclass(frozen=True, slots=True)
class Leave:
    """A node says goodbye and ends."""

    node: str

    def apply(self, cluster: SimCluster) -> None:
        """Let it leave."""
        cluster.leave(self.node)

    def __str__(self) -> str:
        return f"{self.node} leaves"


@dataclass(frozen=True, slots=True)
class Drain:
    """A node says that it takes nothing new."""

    node: str

    def apply(self, cluster: SimCluster) -> None:
        """Let it say so."""
        cluster.drain(self.node)

    def __str__(self) -> str:
        return f"{self.node} drains"


@dataclass(frozen=True, slots=True)
class Freeze:
    """A node's process stops."""

    node: str

    def apply(self, cluster: SimCluster) -> None:
        """Stop it."""
        cluster.freeze(self.node)

    def __str__(self) -> str:
        return f"freeze {self.node}"


@dataclass(frozen=True, slots=True)
class Thaw:
    """A stopped process goes on."""

    node: str

    def apply(self, cluster: SimCluster) -> None:
        """Let it run."""
        cluster.thaw(self.node)

    def __str__(self) -> str:
        return f"thaw {self.node}"


@dataclass(frozen=True, slots=True)
class BlockIo:
    """A node's sends and receives block; its timers go on."""

    node: str

    def apply(self, cluster: SimCluster) -> None:
        """Block them."""
        cluster.block_io(self.node)

    def __str__(self) -> str:
        return f"block the I/O of {self.node}"


@dataclass(frozen=True, slots=True)
class UnblockIo:
    """Sends and receives go on."""

    node: str

    def apply(self, cluster: SimCluster) -> None:
        """Unblock them."""
        cluster.unblock_io(self.node)

    def __str__(self) -> str:
        return f"unblock the I/O of {self.node}"


@dataclass(frozen=True, slots=True)
class SlowCpu:
    """A node needs long for each packet."""

    node: str
    delay: float
    """Seconds for each packet; 0 ends it."""

    def apply(self, cluster: SimCluster) -> None:
        """Slow it down."""
        cluster.slow_cpu(self.node, self.delay)

    def __str__(self) -> str:
        return f"{self.node} needs {self.delay:g} s for a packet"


@dataclass(frozen=True, slots=True)
class ClockRate:
    """A node's clock drifts. Raises `ConfigError` for a rate out of range."""

    node: str
    rate: float
    """Seconds of its clock for each virtual second."""

    def __post_init__(self) -> None:
        require("rate", self.rate, CLOCK_RATES)

    def apply(self, cluster: SimCluster) -> None:
        """Set the rate."""
        cluster.clock_rate(self.node, self.rate)

    def __str__(self) -> str:
        return f"the clock of {self.node} runs at {self.rate:g}"


@dataclass(frozen=True, slots=True)
class Partition:
    """No side reaches another."""

    sides: tuple[tuple[str, ...], ...]

    def apply(self, cluster: SimCluster) -> None:
        """Cut all paths between them."""
        cluster.partition(*self.sides)

    def __str__(self) -> str:
        return "partition " + " | ".join(map(" ".join, self.sides))


@dataclass(frozen=True, slots=True)
class Cut:
    """Nothing gets from some nodes to others; the way back stays open."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]

    def apply(self, cluster: SimCluster) -> None:
        """Cut the paths."""
        cluster.cut(self.sources, self.targets)

    def __str__(self) -> str:
        return f"cut {' '.join(self.sources)} -> {' '.join(self.targets)}"


@dataclass(frozen=True, slots=True)
class Heal:
    """All partitions end."""

    def apply(self, cluster: SimCluster) -> None:
        """Open all cuts."""
        cluster.heal()

    def __str__(self) -> str:
        return "heal"


@dataclass(frozen=True, slots=True)
class SetLoss:
    """Packets vanish on every path."""

    loss: float
    """Share, 0 to 1."""

    def apply(self, cluster: SimCluster) -> None:
        """Set the loss."""
        cluster.set_loss(self.loss)

    def __str__(self) -> str:
        return f"lose {self.loss:.0%} everywhere"


@dataclass(frozen=True, slots=True)
class SetLink:
    """The paths between two nodes change, both ways, and stay so."""

    nodes: tuple[str, str]
    link: Link

    def apply(self, cluster: SimCluster) -> None:
        """Change them."""
        cluster.set_link(*self.nodes, self.link)

    def __str__(self) -> str:
        return f"the paths between {' and '.join(self.nodes)}: {self.link}"


@dataclass(frozen=True, slots=True)
class SetZoneLink:
    """The paths between two zones, or within one that is named twice, change and stay so."""

    zones: tuple[str, str]
    link: Link

    def apply(self, cluster: SimCluster) -> None:
        """Change them."""
        cluster.set_zone_link(*self.zones, self.link)

    def __str__(self) -> str:
        return f"the paths between zones {' and '.join(self.zones)}: {self.link}"


@dataclass(frozen=True, slots=True)
class SetNodeLoss:
    """Packets of one node vanish."""

    node: str
    ingress: float = 0.0
    """Share of those that come in, 0 to 1."""
    egress: float = 0.0
    """Share of those that go out, 0 to 1."""

    def apply(self, cluster: SimCluster) -> None:
        """Set the loss."""
        cluster.set_node_loss(self.node, ingress=self.ingress, egress=self.egress)

    def __str__(self) -> str:
        return f"{self.node} loses {self.ingress:.0%} coming in, {self.egress:.0%} going out"


@dataclass(frozen=True, slots=True)
class SetRate:
    """A node's uplink is narrow."""

    node: str
    rate: float | None
    """Bytes per second; None is unlimited."""

    def apply(self, cluster: SimCluster) -> None:
        """Set the rate."""
        cluster.set_rate(self.node, self.rate)

    def __str__(self) -> str:
        limit = "as much as it likes" if self.rate is None else f"{self.rate:g} bytes a second"
        return f"{self.node} may send {limit}"


@dataclass(frozen=True, slots=True)
class SetStreams:
    """Streams to a node go wrong."""

    node: str
    mode: StreamMode

    def apply(self, cluster: SimCluster) -> None:
        """Set the mode."""
        cluster.set_streams(self.node, self.mode)

    def __str__(self) -> str:
        return f"streams to {self.node} are {self.mode}"


@dataclass(frozen=True, slots=True)
class SetTags:
    """A node publishes tags."""

    node: str
    tags: Mapping[str, str] = field(default_factory=dict)

    def apply(self, cluster: SimCluster) -> None:
        """Publish them; raises `ImpossibleStepError` when they are too long."""
        try:
            cluster.node(self.node).set_tags(self.tags)
        except MessageTooLargeError as error:
            raise ImpossibleStepError(self, error) from error

    def __str__(self) -> str:
        return f"{self.node} publishes {dict(self.tags)}"


@dataclass(frozen=True, slots=True)
class Broadcast:
    """A node's user sends bytes to everybody."""

    node: str
    payload: bytes

    def apply(self, cluster: SimCluster) -> None:
        """Send them; raises `ImpossibleStepError` when they are too long."""
        try:
            cluster.node(self.node).broadcast(self.payload)
        except MessageTooLargeError as error:
            raise ImpossibleStepError(self, error) from error

    def __str__(self) -> str:
        return f"{self.node} broadcasts {self.payload!r}"


@dataclass(frozen=True, slots=True)
class Repair:
    """Every fault of network and processes ends; who is down stays down."""

    def apply(self, cluster: SimCluster) -> None:
        """End them."""
        cluster.repair()

    def __str__(self) -> str:
        return "repair everything"


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes."""

    seconds: float

    def apply(self, cluster: SimCluster) -> None:
        """Let it pass."""
        cluster.run(self.seconds)

    def __str__(self) -> str:
        return f"wait {self.seconds:g} s"


@dataclass(frozen=True, slots=True)
class Agree:
    """Within some time all views agree, stay so for a while, and everything holds that must hold at rest."""

    at_most: float
    """Seconds until they agree."""
    stay: float = 0.0
    """Seconds for which they stay so."""

    def apply(self, cluster: SimCluster) -> None:
        """Wait for it; raises `ScenarioFailed` or `InvariantViolated`."""
        self._expect(cluster, cluster.run_until(cluster.converged, self.at_most, every=0.1))
        cluster.run(self.stay)
        cluster.check_at_rest()

    def _expect(self, cluster: SimCluster, agreed: bool) -> None:
        if not agreed:
            differences = "; ".join(views_agree(Moment(0.0), cluster.moment()))
            raise ScenarioFailed(f"views do not agree {self.at_most:g} s after the last fault: {differences}")

    def __str__(self) -> str:
        return f"agree within {self.at_most:g} s" + (f" and stay so for {self.stay:g} s" if self.stay else "")


@dataclass(frozen=True, slots=True)
class AgreeWithout:
    """Within some time no other node selects the named ones, and stays so; nobody else is removed at any time."""

    nodes: tuple[str, ...]
    """Those that something is wrong with."""
    at_most: float
    """Seconds until they are out, failed or damped, in the views of all others."""
    stay: float = 0.0
    """Seconds for which they stay out."""

    def apply(self, cluster: SimCluster) -> None:
        """Wait for it; raises `ScenarioFailed`."""
        others = [node for node in cluster.members() if node.name not in self.nodes]
        if not cluster.run_until(lambda: not self._selected(others), self.at_most, every=_LOOK_EVERY):
            raise ScenarioFailed(f"{self._selected(others)} after {self.at_most:g} s")
        end = cluster.now + self.stay
        while cluster.now < end:
            cluster.run(min(_LOOK_EVERY, end - cluster.now))
            if selected := self._selected(others):
                raise ScenarioFailed(f"{selected} again, {end - cluster.now:g} s too early")
        if removed := self._removed(others):
            raise ScenarioFailed(removed)

    def _selected(self, others: list[SimNode]) -> str:
        """Who is still selected by whom, in words; empty if nobody is."""
        seen = [
            f"{node.name} selects {member.name}"
            for node in others
            for name in self.nodes
            if (member := node.core.member_named(name)) is not None and member.is_available
        ]
        return f"{len(seen)} selections of those that should be out, such as {seen[0]}" if seen else ""

    def _removed(self, others: list[SimNode]) -> str:
        """Who of the others does not hold another present, in words; empty if all do."""
        for node in others:
            for other in others:
                member = node.core.member(other.id)
                if member is None or not member.state.is_present:
                    return f"{node.name} holds {other.name} {'unknown' if member is None else member.state}"
                if member.state is MemberState.ALIVE and not member.is_available:
                    return f"{node.name} does not select {other.name}"
        return ""

    def __str__(self) -> str:
        return f"select {' '.join(self.nodes)} no more within {self.at_most:g} s, for {self.stay:g} s"


_LOOK_EVERY = 0.5  # seconds
