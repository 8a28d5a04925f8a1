"""`shoal members`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, get_args

import click
from rich.live import Live

from shoal.agent import schema
from shoal.agent.text import printable
from shoal.cli.client import AgentClient
from shoal.cli.options import agent_option, json_option, tag
from shoal.cli.output import console, member_table, print_json, print_members

_WATCH_INTERVAL: Final = 1.0


@click.command()
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--why", is_flag=True, help="Tell why the member NAME was suspected or held dead.")
@click.option("--state", "states", type=click.Choice(get_args(schema.State)), multiple=True, help="Only in this state.")
@click.option(
    "--readiness", type=click.Choice(get_args(schema.ReadinessName)), multiple=True, help="Only of this readiness."
)
@click.option("--tag", "tags", callback=tag, multiple=True, metavar="KEY=VALUE", help="Only with this tag.")
@click.option("--watch", is_flag=True, help="Go on showing changes, until Ctrl-C.")
@json_option
@agent_option
def members(
    name: str | None,
    states: tuple[str, ...],
    readiness: tuple[str, ...],
    tags: tuple[tuple[str, str], ...],
    *,
    why: bool,
    watch: bool,
    as_json: bool,
    client: AgentClient,
) -> None:
    """Show who is in the cluster as the agent sees it, or only the member of that name or id.

    The dead and those that left are shown for as long as they are remembered. FOR is how long the agent has seen a
    member in its state. Repeated --state and --readiness options widen, repeated --tag options narrow the
    choice.
    """
    _check_use(name, is_choosing=bool(states or readiness or tags), why=why, watch=watch)
    if name is not None and why:
        verdicts = client.evidence(name)
        print_json(verdicts) if as_json else _tell(name, verdicts)
        return

    def look() -> list[schema.Member]:
        return client.members(states, dict(tags), readiness) if name is None else [client.member(name)]

    show = print_json if as_json else print_members
    if not watch:
        show(look())
    elif console().is_terminal and not as_json:
        _watch_live(look)
    else:
        _watch_changes(look, show)


def _check_use(name: str | None, *, is_choosing: bool, why: bool, watch: bool) -> None:
    if name is not None and is_choosing:
        raise click.UsageError("NAME shows one member; leave out --state, --readiness and --tag")
    if why and (name is None or watch):
        raise click.UsageError("--why goes with NAME, and without --watch")


def _tell(name: str, verdicts: list[schema.Verdict]) -> None:
    """Each verdict as a paragraph, its conclusion first."""
    if not verdicts:
        click.echo(f"no verdict on {printable(name)} is remembered")
    for number, verdict in enumerate(verdicts):
        conclusion, *reasons = map(printable, verdict.explanation)
        click.echo("\n" * bool(number) + conclusion)
        for reason in reasons:
            click.echo(f"  {reason}")


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
            if (facts := [(member.id, member.state, member.incarnation, member.readiness) for member in seen]) != last:
                show(seen)
                last = facts
            time.sleep(_WATCH_INTERVAL)
    except KeyboardInterrupt:
        return
