"""`shoal demo`."""

from __future__ import annotations

import click

from shoal.cli.options import json_option
from shoal.config import Profile


@click.command()
@click.option("--nodes", type=click.IntRange(3, 20), default=5, show_default=True, help="How many agents.")
@click.option(
    "--profile",
    type=click.Choice([Profile.LOCAL.value, Profile.LAN.value]),
    default=Profile.LOCAL.value,
    show_default=True,
    help="Set of timings.",
)
@click.option("--keep", is_flag=True, help="Leave the cluster running at the end, until Ctrl-C.")
@json_option
def demo(*, nodes: int, profile: str, keep: bool, as_json: bool) -> None:
    """Watch a live cluster of agent processes form, lose members and heal.

    One agent is killed and later restarted, one leaves, one is frozen and resumed. At the end: what happened, and how
    long it took every node to see it. Exits 0 only if each node really reported all that was announced.

    With --json a report goes to standard output, and the show to standard error.
    """
    from shoal.demo.show import Settings, run  # noqa: PLC0415 - needs an extra, and `--help` does not

    raise SystemExit(run(Settings(nodes, Profile(profile), keep, as_json)))
