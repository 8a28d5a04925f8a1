"""`shoal tags`."""

from __future__ import annotations

from collections.abc import Mapping

import click

from shoal.agent import schema
from shoal.agent.text import printable
from shoal.cli.client import AgentClient
from shoal.cli.options import agent_option, json_option, tag
from shoal.cli.output import print_json


@click.group(invoke_without_command=True)
@json_option
@agent_option
@click.pass_context
def tags(ctx: click.Context, *, as_json: bool, client: AgentClient) -> None:
    """Show the agent's tags, or change them: `shoal tags set zone=a`, `shoal tags remove zone`."""
    if ctx.invoked_subcommand is None:
        _print(client.local().tags, as_json=as_json)


@tags.command("set")
@click.argument("wanted", callback=tag, nargs=-1, required=True, metavar="KEY=VALUE...")
@json_option
@agent_option
def set_tags(wanted: tuple[tuple[str, str], ...], *, as_json: bool, client: AgentClient) -> None:
    """Add tags or change them, and print all."""
    _update(dict(wanted), as_json=as_json, client=client)


@tags.command("remove")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@json_option
@agent_option
def remove_tags(keys: tuple[str, ...], *, as_json: bool, client: AgentClient) -> None:
    """Remove tags, and print the others."""
    _update(dict.fromkeys(keys), as_json=as_json, client=client)


def _update(changes: schema.TagChanges, *, as_json: bool, client: AgentClient) -> None:
    _print(client.update_tags(changes), as_json=as_json)


def _print(tags: Mapping[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json(tags)
    else:
        for key, value in sorted(tags.items()):
            click.echo(printable(f"{key}={value}"))
