"""`shoal leave`."""

from __future__ import annotations

import click

from shoal.agent.text import printable
from shoal.cli.client import AgentClient
from shoal.cli.options import agent_option, json_option
from shoal.cli.output import print_json


@click.command()
@json_option
@agent_option
def leave(*, as_json: bool, client: AgentClient) -> None:
    """Let the agent say goodbye and end; its peers see that it left, not that it failed."""
    member = client.leave()
    if as_json:
        print_json(member)
    else:
        click.echo(f"{printable(member.name)} has left")
