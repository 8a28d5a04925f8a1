"""`shoal leave`."""

from __future__ import annotations

import click

from shoal.agent.text import printable
from shoal.cli.client import AgentClient
from shoal.cli.options import agent_option, json_option
from shoal.cli.output import print_json


@click.command()
@click.argument("name", required=False)
@json_option
@agent_option
def leave(name: str | None, *, as_json: bool, client: AgentClient) -> None:
    """Let the agent say goodbye and end; its peers see that it left, not that it failed.

    With NAME, or an id, let it ask another member to do so, for which its certificate must have the right: see `shoal
    keys issue --allow leave`.
    """
    member = client.leave(name)
    if as_json:
        print_json(member)
    else:
        click.echo(f"{printable(member.name)} {'has left' if name is None else 'leaves'}")
