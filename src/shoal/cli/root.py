"""The group of all commands. Each is imported when it is called, so that `shoal --help` and completion are quick."""

from __future__ import annotations

import importlib
from typing import Any, Final, NamedTuple

import click

from shoal.errors import ShoalError

__all__ = ["shoal"]


class _Entry(NamedTuple):
    target: str
    summary: str


_COMMANDS: Final = {
    "agent": _Entry("shoal.cli.agent:agent", "Run one node, with its HTTP API."),
    "members": _Entry("shoal.cli.members:members", "Show who is in the cluster."),
    "events": _Entry("shoal.cli.events:events", "Follow what happens."),
    "info": _Entry("shoal.cli.info:info", "Show the agent's own state, or one member's."),
    "tags": _Entry("shoal.cli.tags:tags", "Show or change the agent's tags."),
    "join": _Entry("shoal.cli.join:join", "Let the agent contact further seeds."),
    "drain": _Entry("shoal.cli.readiness:drain", "Let the agent say that it takes nothing new."),
    "ready": _Entry("shoal.cli.readiness:ready", "Let the agent say that it wants work again."),
    "leave": _Entry("shoal.cli.leave:leave", "Let the agent, or another member, say goodbye and end."),
    "keys": _Entry("shoal.cli.keys:keys", "Show or rotate the keys of the whole cluster; admit nodes."),
    "keygen": _Entry("shoal.cli.keygen:keygen", "Make a key for a cluster."),
    "demo": _Entry("shoal.cli.demo:demo", "Watch a live cluster form, lose members and heal."),
    "simulate": _Entry("shoal.cli.simulate:simulate", "Run whole clusters on a virtual clock, and see how they fare."),
    "bench": _Entry("shoal.cli.bench:bench", "Measure real clusters on this machine."),
}


class _LazyGroup(click.Group):
    """Knows its commands by name only, until one is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].target.partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ShoalError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="shoal")
def shoal() -> None:
    """Cluster membership, failure detection and discovery: who is there, and who is not.

    `shoal agent` runs a node. The other commands ask the agent at 127.0.0.1:7980, or at --agent HOST:PORT.
    """
