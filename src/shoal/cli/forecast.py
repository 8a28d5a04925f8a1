"""`shoal simulate --model`: what the vectorised model says of a cluster too large to simulate."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import click

from shoal.cli.output import print_json, print_pairs
from shoal.cli.progress import progress
from shoal.config import ClusterConfig
from shoal.sim.model.footprint import measured_footprint
from shoal.sim.model.forecast import CHURN, Forecast, forecast
from shoal.sim.model.setting import Setting
from shoal.sim.summary import Quantiles

__all__ = ["report_forecast"]

_DEFAULT_MEMBERS = 100_000


def report_forecast(
    nodes: int | None, config: ClusterConfig, loss: float, seeds: Sequence[int], *, as_json: bool
) -> None:
    """Run the model and print its figures; raises `ConfigError` for what it does not cover."""
    setting = Setting(nodes or _DEFAULT_MEMBERS, config, loss)
    footprint = measured_footprint(config.cluster)
    with progress("model", len(seeds)) as advance:
        said = forecast(setting, seeds, footprint, advance)
    if as_json:
        print_json(dataclasses.asdict(said))
        return
    click.echo(f"model of {said.nodes:,} members, {loss:.3g} loss")
    print_pairs(_pairs(said))
    click.echo("\nwhat breaks as it grows, the first in front:")
    for limit in said.limits:
        click.echo(f"  {'beyond the model' if limit.members is None else f'{limit.members:,}':>16}  {limit.what}")


def _pairs(said: Forecast) -> Iterator[tuple[str, str]]:
    yield "a change, half know", _times(said.change_half_s)
    yield "a change, all know", _times(said.change_all_s) + (f"; gossip missed {said.missed}" if said.missed else "")
    yield "a kill, first detection", _times(said.first_detection_s)
    yield "a kill, all know", _times(said.all_know_s)
    yield "load, quiet", f"{said.quiet.datagrams:.2f} datagrams, {said.quiet.bytes:.0f} bytes per node and second"
    yield (
        f"load, {CHURN:.0%} replaced a minute",
        f"{said.churn.datagrams:.2f} datagrams, {said.churn.bytes:.0f} bytes, {said.churn.updates:.0f} updates;"
        f" {said.churn.room_used:.0%} of the room for updates",
    )
    yield "a joiner's view", f"{said.snapshot_bytes:,} bytes"
    yield "the table of one node", f"{said.table_bytes:,} bytes"
    yield "each has probed all", f"{said.probe_pass_s:,.0f} s"


def _times(times: Quantiles | None) -> str:
    if times is None or math.isinf(times.p50):
        return "never"
    return f"{times.p50:.3f} s median, " + ("some never" if math.isinf(times.max) else f"{times.max:.3f} s at most")
