"""The vectorised model next to the simulator, and what it says of clusters too large to simulate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from statistics import fmean
from typing import Final

from shoal.sim.model.change import ChangeOutcome, play_change
from shoal.sim.model.footprint import measured_footprint
from shoal.sim.model.forecast import CHURN, Forecast, forecast
from shoal.sim.model.kill import KillOutcome, play_kill
from shoal.sim.model.load import quiet_load
from shoal.sim.model.setting import Setting
from shoal.study.configurations import configuration
from shoal.study.runs import Results
from shoal.study.scale import SHARES, ScaleCell, ScaleOutcome
from shoal.study.tables import Table, quantile

__all__ = ["agreement_table", "forecast_table", "limits_table"]

_SEEDS: Final = range(40)
_LARGE: Final = {1_000: 20, 10_000: 20, 100_000: 5, 1_000_000: 2}
"""How many changes and kills are played at each size."""


def agreement_table(results: Results) -> Table:
    """For each size that was simulated: the simulator's figures and the model's."""
    rows: list[tuple[str, ...]] = []
    for run, outcome in results.items():
        if isinstance(run.cell, ScaleCell) and isinstance(outcome, ScaleOutcome):
            setting = Setting(run.cell.nodes, configuration(run.configuration), run.cell.loss)
            for what, simulated, modelled in _pairs(outcome, setting):
                ratio = f"{modelled / simulated:.2f}" if simulated else ""
                rows.append((f"{run.cell.nodes:,}", what, f"{simulated:.4g}", f"{modelled:.4g}", ratio))
    return Table("The model next to the simulator", ("members", "", "simulator", "model", "ratio"), tuple(rows))


def _pairs(seen: ScaleOutcome, setting: Setting) -> Iterator[tuple[str, float, float]]:
    changes = [play_change(setting, seed, SHARES) for seed in _SEEDS]
    kills = [play_kill(setting, seed, SHARES) for seed in _SEEDS]
    for share, simulated, modelled in zip(SHARES, _medians(seen.changes), _curve(changes), strict=True):
        yield f"a change: {share:.5g} of the members know, s", simulated, modelled
    for share, simulated, modelled in zip(SHARES, _medians(seen.suspicions), _suspected(kills), strict=True):
        yield f"a suspicion: {share:.5g} of the members know, s", simulated, modelled
    firsts = [kill.first for kill in seen.kills if kill.first is not None]
    lasts = [kill.all_know for kill in seen.kills if kill.all_know is not None]
    verdicts = [
        kill.first - kill.first_suspected
        for kill in seen.kills
        if kill.first is not None and kill.first_suspected is not None
    ]
    yield "a kill: first detection, median, s", _median(firsts), _median(kill.first for kill in kills)
    yield "a kill: all know, median, s", _median(lasts), _median(kill.all_know for kill in kills)
    yield "from suspicion to death, s", _median(verdicts), _median(kill.first - kill.first_suspected for kill in kills)
    quiet = quiet_load(setting)
    yield "quiet: datagrams per node and s", seen.quiet_datagrams_per_s, quiet.datagrams
    yield "quiet: bytes per node and s", seen.quiet_bytes_per_s, quiet.bytes
    yield "a change: datagrams per node", seen.datagrams_per_change, fmean(one.rounds_per_member for one in changes)
    yield "a kill: datagrams per node", seen.datagrams_per_kill, fmean(one.rounds_per_member for one in kills)


def _curve(changes: list[ChangeOutcome]) -> Iterator[float]:
    return _medians([change.delays for change in changes])


def _suspected(kills: list[KillOutcome]) -> Iterator[float]:
    return _medians([kill.suspected for kill in kills])


def _medians(curves: Iterable[tuple[float, ...]]) -> Iterator[float]:
    return map(_median, zip(*curves, strict=True))


def _median(values: Iterable[float]) -> float:
    return quantile(values, 0.5)


def forecast_table(_results: Results) -> Table:
    """What the model says of 1,000 to 1,000,000 members, at 1 % loss."""
    said = [_forecast(members, seeds) for members, seeds in _LARGE.items()]
    rows = [(what, *map(tell, said)) for what, tell in _FIGURES.items()]
    return Table("What the model says", ("members", *(f"{one.nodes:,}" for one in said)), tuple(rows))


def _forecast(members: int, seeds: int) -> Forecast:
    config = configuration("shoal")
    return forecast(Setting(members, config), range(seeds), measured_footprint(config.cluster))


_FIGURES: Final = {
    "sends of each update": lambda one: f"{one.sends}",
    "a change: half know, ms": lambda one: f"{one.change_half_s.p50 * 1000:.1f}",
    "a change: all know, median / most, s": lambda one: f"{one.change_all_s.p50:.2f} / {one.change_all_s.max:.2f}",
    "members that gossip missed": lambda one: f"{one.missed}",
    "a kill: first detection, median, s": lambda one: f"{one.first_detection_s.p50:.2f}",
    "a kill: all know, median / most, s": lambda one: f"{one.all_know_s.p50:.2f} / {one.all_know_s.max:.2f}",
    "quiet: bytes per node and s": lambda one: f"{one.quiet.bytes:.0f}",
    f"{CHURN:.0%} replaced a minute: bytes per node and s": lambda one: f"{one.churn.bytes:.0f}",
    "… updates per node and s": lambda one: f"{one.churn.updates:.0f}",
    "… share of the room for updates": lambda one: f"{one.churn.room_used:.1%}",
    "a joiner's view, MB": lambda one: f"{one.snapshot_bytes / 1e6:.2f}",
    "the table of one node, MB": lambda one: f"{one.table_bytes / 1e6:.1f}",
    "each has probed all, hours": lambda one: f"{one.probe_pass_s / 3600:.1f}",
}


def limits_table(_results: Results) -> Table:
    """What breaks first, and where."""
    rows = [
        ("beyond" if limit.members is None else f"{limit.members:,}", limit.what) for limit in _forecast(1000, 1).limits
    ]
    return Table("What breaks first", ("from members on", ""), tuple(rows))
