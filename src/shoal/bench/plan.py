"""What a run of the scale benchmark does."""

from __future__ import annotations

from dataclasses import dataclass, field

from shoal.config import ClusterConfig
from shoal.errors import ConfigError, ShoalError
from shoal.types import Address

__all__ = ["LEAST_NODES", "OWN_SETTINGS", "BenchError", "Plan", "name_of"]

LEAST_NODES = 3
"""A smaller cluster has nobody to confirm a suspicion."""


OWN_SETTINGS = frozenset({"bind", "advertise", "seeds", "name", "keys", "state_dir"})
"""What the benchmark sets itself for each node."""


class BenchError(ShoalError):
    """A benchmark cannot run here, or came to no result; the message says why and what to change."""


def name_of(number: int) -> str:
    """What the node of that number is called."""
    return f"n{number}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Raises `ConfigError` where the numbers contradict each other."""

    nodes: int
    processes: int
    kill: int
    """How many nodes end without goodbye, all at once."""
    rate: float
    """Nodes that start in a second."""
    formed: bool
    """Let all nodes know each other from the start, instead of letting them join."""
    seeds: int
    """Nodes that are up before the others, each of which joins through one of them."""
    hold: float
    """Seconds for which the complete cluster is measured."""
    settle: float
    """Least seconds of rest before that, in which the last news of the joins ends."""
    settle_timeout: float
    """Most seconds of rest: it goes on until every node's local health is good again."""
    form_timeout: float
    """Seconds after which a cluster that is not complete counts as failed."""
    detect_timeout: float
    """Seconds that the survivors have to learn of every killed node."""
    config: ClusterConfig = field(default_factory=ClusterConfig.lan)
    """Of every node; each listens on a free port of 127.0.0.1."""

    def __post_init__(self) -> None:
        if self.kill > self.nodes - LEAST_NODES + 1:
            raise ConfigError("--kill", self.kill, f"leaves fewer than 2 of {self.nodes} nodes; kill fewer")
        if self.processes > self.nodes:
            raise ConfigError("--processes", self.processes, f"must not exceed the {self.nodes} nodes")
        if self.config.max_members < self.nodes:
            raise ConfigError("max_members", self.config.max_members, f"must be at least the {self.nodes} nodes")

    @property
    def seed_count(self) -> int:
        """How many seeds there really are: one node at least joins."""
        return min(self.seeds, self.nodes - 1)

    @property
    def node_config(self) -> ClusterConfig:
        """What each node is given."""
        return self.config.replace(bind=Address("127.0.0.1", 0), advertise=None, seeds=(), name=None)

    def share_of(self, worker: int) -> range:
        """The numbers of the nodes that live in one of the processes."""
        return range(worker, self.nodes, self.processes)

    def victims(self) -> frozenset[int]:
        """The nodes that are killed: spread evenly, and seeds only if there are no others."""
        step = (self.nodes - self.seed_count) / self.kill if self.kill else 1.0
        if step < 1:
            return frozenset(range(self.nodes - self.kill, self.nodes))
        return frozenset(self.nodes - 1 - int(position * step) for position in range(self.kill))
