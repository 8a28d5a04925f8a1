"""`shoal members`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, get_args

import click
from rich.live import Live

from shoal.agent import schema
from shoal.cli.client import AgentClient
from shoal.cli.options import agent_option, json_option, tag
from shoal.cli.output import console, member_table, print_json, print_members
from shoal.types import Address

_WATCH_INTERVAL: Final = 1.0


@click.command()
@click.option("--state", "states", type=click.Choice(get_args(schema.State)), multiple=True, help="Only in this state.")
@click.option("--tag", "tags", callback=tag, multiple=True, metavar="KEY=VALUE", help="Only with this tag.")
@click.option("--watch", is_flag=True, help="Go on showing changes, until Ctrl-C.")
@json_option
@agent_option
def members(
    states: tuple[str, ...], tags: tuple[tuple[str, str], ...], *, watch: bool, as_json: bool, where: Address
) -> None:
    """Show who is in the cluster, as the agent sees it.

    The dead and those that left are shown for as long as they are remembered. FOR is how long the agent has seen a
    member in its state. Repeated --state options widen, repeated --tag options narrow the choice.
    """
    client = AgentClient(where)

    def look() -> list[schema.Member]:
        return client.members(states, dict(tags))

    show = print_json if as_json else print_members
    if not watch:
        show(look())
    elif console().is_terminal and not as_json:
        _watch_live(look)
    else:
        _watch_changes(look, show)


def _watch_live(look: Callable[[], list[schema.Member]]) -> None:
    try:
        with Live(member_table(look()), console=console(), auto_refresh=False) as live:
            while True:
                time.sleep(_WATCH_INTERVAL)
                live.update(member_table(look()), refresh=True)
    except KeyboardInterrupt:
        return


def _watch_changes(look: Callable[[], list[schema.Member]], show: Callable[[list[schema.Member]], None]) -> None:
    last = None
    try:
        while True:
            seen = look()
            if (facts := [(member.id, member.state, member.incarnation) for member in seen]) != last:
                show(seen)
                last = facts
            time.sleep(_WATCH_INTERVAL)
    except KeyboardInterrupt:
        return
