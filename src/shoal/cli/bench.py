"""`shoal bench`."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any, Final

import click

from shoal.bench.plan import LEAST_NODES, OWN_SETTINGS, Plan
from shoal.bench.plot import svg
from shoal.bench.report import Report
from shoal.bench.scale import measure
from shoal.cli.options import Number, file_option, json_option, seconds, setting
from shoal.cli.output import print_json, print_pairs, write_text
from shoal.cli.progress import progress
from shoal.config import ClusterConfig, Profile
from shoal.errors import ConfigError
from shoal.keys import ClusterKey

_INTERRUPTED: Final = 130  # what shells report of a command that SIGINT ended


def _setting(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Callback: FIELD=VALUE, but for what each node is given."""
    settings = setting(ctx, param, value)
    for name, text in settings:
        if name in OWN_SETTINGS:
            raise ConfigError("--set", f"{name}={text}", f"the benchmark sets {name} itself")
    return settings


@click.group()
def bench() -> None:
    """Measure real clusters on this machine."""


@bench.command()
@click.option(
    "--nodes", type=click.IntRange(LEAST_NODES, 1_000_000), default=1000, show_default=True, help="How many real nodes."
)
@click.option("--processes", type=click.IntRange(1, 1024), help="That they live in.  [default: one for each CPU]")
@click.option("--kill", type=click.IntRange(0), help="Nodes to end as in a crash.  [default: 10, of few a tenth]")
@click.option(
    "--rate", type=Number(0.1, 1_000_000), default=200.0, show_default=True, help="Nodes to start in a second."
)
@click.option("--formed", is_flag=True, help="Let all nodes know each other from the start, instead of joining.")
@click.option(
    "--seeds", type=click.IntRange(1, 256), default=8, show_default=True, help="Nodes that others join through."
)
@click.option("--settle", type=seconds(0), default=10.0, show_default=True, help="Seconds of rest when formed.")
@click.option(
    "--settle-timeout",
    type=seconds(0),
    default=120.0,
    show_default=True,
    help="Most seconds of rest, until all nodes are well.",
)
@click.option("--hold", type=seconds(1), default=30.0, show_default=True, help="Seconds to measure at rest.")
@click.option(
    "--form-timeout",
    type=seconds(1),
    default=600.0,
    show_default=True,
    help="Seconds for the cluster to form.",
)
@click.option(
    "--detect-timeout",
    type=seconds(1),
    default=60.0,
    show_default=True,
    help="Seconds for all to know the killed.",
)
@click.option(
    "--profile",
    type=click.Choice([profile.value for profile in Profile]),
    default=Profile.LAN.value,
    show_default=True,
    help="Set of timings.",
)
@click.option(
    "--set",
    "settings",
    callback=_setting,
    multiple=True,
    metavar="FIELD=VALUE",
    help="Any setting of the nodes but their addresses, names and keys, such as probe_interval=0.5.",
)
@click.option("--encrypt", is_flag=True, help="Seal all messages with a key made for the run.")
@file_option("--plot", "Draw curves as SVG.")
@json_option
def scale(
    *,
    nodes: int,
    processes: int | None,
    kill: int | None,
    rate: float,
    formed: bool,
    seeds: int,
    settle: float,
    settle_timeout: float,
    hold: float,
    form_timeout: float,
    detect_timeout: float,
    profile: str,
    settings: tuple[tuple[str, str], ...],
    encrypt: bool,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Start many real nodes over UDP and TCP on loopback, and say what they cost and how they fare.

    They form a cluster, rest, and lose some of their number without a goodbye. Exits 1 when the cluster does not form,
    or a killed node is not known to every survivor. All processes end with the command, however it ends.
    """
    keys = (ClusterKey(secrets.token_bytes(ClusterKey.SIZE)),) if encrypt else ()
    plan = Plan(
        nodes=nodes,
        processes=min(nodes, os.cpu_count() or 1) if processes is None else processes,
        kill=max(1, min(10, nodes // 10)) if kill is None else kill,
        rate=rate,
        formed=formed,
        seeds=seeds,
        settle=settle,
        settle_timeout=settle_timeout,
        hold=hold,
        form_timeout=form_timeout,
        detect_timeout=detect_timeout,
        config=ClusterConfig.of_profile(profile).replace(**dict(settings), keys=keys),
    )
    try:
        measured = measure(plan, progress)
    except KeyboardInterrupt:
        click.echo("interrupted: all nodes are ended", err=True)
        raise SystemExit(_INTERRUPTED) from None
    report = Report.of(plan, measured)
    if as_json:
        print_json(report)
    else:
        print_pairs(report.pairs())
    if plot is not None:
        write_text(plot, svg(plan, measured))
    if report.known_by_all < report.killed:
        unknown = report.killed - report.known_by_all
        raise click.ClickException(
            f"{unknown} of {report.killed} killed nodes are not known to be dead everywhere after {detect_timeout:g} s"
        )
