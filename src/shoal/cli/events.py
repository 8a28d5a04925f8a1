"""`shoal events`."""

from __future__ import annotations

from itertools import islice

import click
import msgspec

from shoal.agent import schema
from shoal.agent.text import printable
from shoal.cli.client import AgentClient
from shoal.cli.options import agent_option, json_option
from shoal.cli.output import console, event_line, print_columns
from shoal.store.directory_store import read_events

_HEADINGS = ("TIME", "EVENT", "NAME", "ADDRESS", "DETAIL")


@click.command()
@click.option(
    "--count", type=click.IntRange(min=1), metavar="N", help="End after so many events; of saved ones, the last."
)
@click.option("--saved", is_flag=True, help="Show what the agent has saved of what happened, and end.")
@click.option("--state-dir", metavar="DIR", help="With --saved: read it from this directory, and ask no agent.")
@json_option
@agent_option
def events(*, count: int | None, saved: bool, state_dir: str | None, as_json: bool, client: AgentClient) -> None:
    """Follow what happens in the cluster, as the agent sees it, until Ctrl-C.

    With --json each line is one object. Ends with an error when the agent does.

    With --saved, show what happened before to members and the cluster, the oldest first: an agent with a --state-dir
    keeps the last 1,000 events, those of its earlier runs too.
    """
    if state_dir is not None and not saved:
        raise click.UsageError("--state-dir goes with --saved")
    if not saved:
        _follow(client, count, as_json=as_json)
    elif state_dir is None:
        _show(client.saved_events(count), as_json=as_json)
    else:
        found = [schema.SavedEvent.of(event) for event in read_events(state_dir)]
        _show(found[-(count or 0) :], as_json=as_json)


def _follow(client: AgentClient, count: int | None, *, as_json: bool) -> None:
    out = console()
    try:
        seen = 0
        for event in islice(client.events(), count):
            seen += 1
            if as_json:
                click.echo(msgspec.json.encode(event))
            else:
                out.print(event_line(event))
    except KeyboardInterrupt:
        return
    if seen != count:
        raise click.ClickException(f"the agent at {client.address} has ended")


def _show(found: list[schema.SavedEvent], *, as_json: bool) -> None:
    if as_json:
        for event in found:
            click.echo(msgspec.json.encode(event))
        return
    print_columns([_HEADINGS, *map(_cells, found)])


def _cells(saved: schema.SavedEvent) -> tuple[str, ...]:
    time = saved.time.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return time, *map(printable, (saved.event, saved.name, saved.address, saved.detail))
