"""`shoal drain` and `shoal ready`."""

from __future__ import annotations

import click

from shoal.agent import schema
from shoal.agent.text import printable
from shoal.cli.client import AgentClient
from shoal.cli.options import agent_option, json_option
from shoal.cli.output import print_json


@click.command()
@json_option
@agent_option
def drain(*, as_json: bool, client: AgentClient) -> None:
    """Let the agent say that it takes nothing new; it stays a member. Returns when its peers were told."""
    _print(client.drain(), as_json=as_json)


@click.command()
@json_option
@agent_option
def ready(*, as_json: bool, client: AgentClient) -> None:
    """Let the agent say that it wants work, as at its start. Returns when its peers were told."""
    _print(client.ready(), as_json=as_json)


def _print(member: schema.Member, *, as_json: bool) -> None:
    if as_json:
        print_json(member)
    else:
        click.echo(f"{printable(member.name)} is {member.readiness}")
