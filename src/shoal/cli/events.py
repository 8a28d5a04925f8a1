"""`shoal events`."""

from __future__ import annotations

from itertools import islice

import click
import msgspec

from shoal.cli.client import AgentClient
from shoal.cli.options import agent_option, json_option
from shoal.cli.output import console, event_line


@click.command()
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many events.")
@json_option
@agent_option
def events(*, count: int | None, as_json: bool, client: AgentClient) -> None:
    """Follow what happens in the cluster, as the agent sees it, until Ctrl-C.

    With --json each line is one object. Ends with an error when the agent does.
    """
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
