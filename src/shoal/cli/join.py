"""`shoal join`."""

from __future__ import annotations

import click

from shoal.agent.text import printable
from shoal.cli.client import AgentClient
from shoal.cli.options import address, agent_option, json_option
from shoal.cli.output import print_json
from shoal.types import Address


@click.command()
@click.argument("seeds", callback=address, nargs=-1, required=True, metavar="HOST:PORT...")
@json_option
@agent_option
def join(seeds: tuple[Address, ...], *, as_json: bool, client: AgentClient) -> None:
    """Let the agent contact further seeds, which it remembers and tries again for ever.

    Exits with 1 if none of them was reached within a few seconds.
    """
    result = client.join([str(seed) for seed in seeds])
    if as_json:
        print_json(result)
    else:
        for seed in result.reached:
            click.echo(f"{seed}: reached")
        for failure in result.unreachable:
            click.echo(f"{failure.seed}: unreachable: {printable(failure.reason)}")
        for seed in result.pending:
            click.echo(f"{seed}: no answer yet; the agent goes on trying")
    if not result.reached:
        raise SystemExit(1)
