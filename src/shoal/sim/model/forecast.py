"""Everything that the model says of one cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from shoal.sim.model.change import ChangeOutcome, play_change
from shoal.sim.model.footprint import Footprint
from shoal.sim.model.kill import KillOutcome, play_kill
from shoal.sim.model.limits import Limit, limits, probe_pass
from shoal.sim.model.load import ChurnLoad, Load, churn_load, quiet_load
from shoal.sim.model.setting import Setting
from shoal.sim.summary import Quantiles

__all__ = ["CHURN", "SHARES", "Forecast", "forecast"]

SHARES: Final = (0.5, 0.99, 1.0)
"""Of the members, that have heard of a change."""
CHURN: Final = 0.01
"""Share of the members that is replaced each minute."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Times are in seconds, over all seeds; loads are what one member sends each second."""

    nodes: int
    sends: int
    """How often each member sends one piece of news at most."""
    change_half_s: Quantiles | None
    """From a change until half of the members know."""
    change_all_s: Quantiles | None
    """… until all do."""
    missed: int
    """Members that gossip never told, over all changes."""
    first_detection_s: Quantiles | None
    """From a kill until the first member believes it."""
    all_know_s: Quantiles | None
    quiet: Load
    churn: ChurnLoad
    """With `CHURN`, without the views that joiners get."""
    snapshot_bytes: int
    """The view that a joiner gets, uncompressed."""
    table_bytes: int
    """What the members take in the table of each node."""
    probe_pass_s: float
    """Until a member has probed every other once."""
    limits: tuple[Limit, ...]


def forecast(
    setting: Setting, seeds: Sequence[int], footprint: Footprint, done: Callable[[], None] = lambda: None
) -> Forecast:
    """Play a change and a kill for each seed, and say what both cost; `done` is called after each seed."""
    changes: list[ChangeOutcome] = []
    kills: list[KillOutcome] = []
    for seed in seeds:
        changes.append(play_change(setting, seed, SHARES))
        kills.append(play_kill(setting, seed, SHARES))
        done()
    return Forecast(
        nodes=setting.members,
        sends=setting.sends,
        change_half_s=Quantiles.of(change.delays[0] for change in changes),
        change_all_s=Quantiles.of(change.delays[-1] for change in changes if not change.missed),
        missed=sum(change.missed for change in changes),
        first_detection_s=Quantiles.of(kill.first for kill in kills),
        all_know_s=Quantiles.of(kill.all_know for kill in kills),
        quiet=quiet_load(setting),
        churn=churn_load(setting, CHURN),
        snapshot_bytes=round(setting.members * footprint.in_snapshot),
        table_bytes=round(setting.members * footprint.in_table),
        probe_pass_s=probe_pass(setting),
        limits=limits(setting, footprint),
    )
