"""`shoal agent`."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path

import click

from shoal.agent.logs import LogFormat, LogLevel, configure
from shoal.agent.token import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE, find_token
from shoal.cli.options import address, http_address, seconds, tag
from shoal.config import ClusterConfig, PartitionStrategy, Profile
from shoal.types import Address


def _values(choices: type[StrEnum]) -> list[str]:
    return [choice.value for choice in choices]


@click.command()
@click.option("--name", metavar="NAME", help="Unique in the cluster.  [default: the host's name and a random suffix]")
@click.option(
    "--bind", callback=address, metavar="HOST:PORT", help="Gossip over UDP and TCP here.  [default: 127.0.0.1:7946]"
)
@click.option("--advertise", callback=address, metavar="HOST:PORT", help="What peers send to, if it isn't --bind.")
@click.option("--join", "seeds", callback=address, multiple=True, metavar="HOST:PORT", help="A member to join through.")
@click.option(
    "--tag", "tags", callback=tag, multiple=True, metavar="KEY=VALUE", help="Something this node says of itself."
)
@click.option("--cluster", metavar="NAME", help="Packets of other clusters are dropped.  [default: shoal]")
@click.option("--key-file", metavar="FILE", help="Keys of the cluster, as `shoal keygen` makes them: seal everything.")
@click.option("--insecure", is_flag=True, help="Let a node without keys use an address that other machines can reach.")
@click.option("--profile", type=click.Choice(_values(Profile)), help="Set of timings to start from.  [default: lan]")
@click.option("--state-dir", metavar="DIR", help="Keep name, peers, tags, keys and events here, for the next start.")
@click.option(
    "--lease-file",
    metavar="FILE",
    envvar="SHOAL_LEASE_FILE",
    show_envvar=True,
    help="Of a partition, the side lives on that gets the lease in FILE, on a disk of all: strategy 'lease'.",
)
@click.option("--config", "path", type=Path, metavar="FILE", help="TOML file with settings.")
@click.option(
    "--http",
    callback=http_address,
    metavar="HOST:PORT",
    default="127.0.0.1:7980",
    show_default=True,
    help="Serve the HTTP API here; port 0 takes any free one, 'none' serves none.",
)
@click.option(
    "--http-token-file",
    "token_file",
    metavar="FILE",
    envvar=TOKEN_FILE_VARIABLE,
    show_envvar=True,
    help=f"Requests must show the token in it.  [or {TOKEN_VARIABLE}: the token itself]",
)
@click.option("--http-allow-remote", is_flag=True, help="Let --http listen beyond this machine without a token.")
@click.option(
    "--grace",
    type=seconds(0, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Asked to end, stay for so long as a draining member before the goodbye.",
)
@click.option("--log-format", type=click.Choice(_values(LogFormat)), default="text", show_default=True)
@click.option("--log-level", type=click.Choice(_values(LogLevel)), default="info", show_default=True)
def agent(
    *,
    seeds: tuple[Address, ...],
    tags: tuple[tuple[str, str], ...],
    profile: str | None,
    path: Path | None,
    http: Address | None,
    token_file: str | None,
    http_allow_remote: bool,
    insecure: bool,
    grace: float,
    lease_file: str | None,
    log_format: str,
    log_level: str,
    **settings: str | Address | None,
) -> None:
    """Run one node, with its HTTP API, until SIGTERM or Ctrl-C; it then drains, says goodbye and ends.

    Settings come from the profile, then the file, then variables such as SHOAL_PROBE_INTERVAL, then the options, the
    later ones outranking the earlier. Options --join and --tag add to what was set before. An unreachable seed is
    tried again for ever.
    """
    from shoal.agent.server import run_agent  # noqa: PLC0415 - needs an extra, and `--help` does not

    config = ClusterConfig.load(path, os.environ, profile)
    given = {field: value for field, value in settings.items() if value is not None}
    config = config.replace(seeds=(*config.seeds, *seeds), tags={**config.tags, **dict(tags)}, **given)
    if insecure:
        config = config.replace(allow_unencrypted=True)
    if lease_file is not None and config.partition_strategy is PartitionStrategy.NONE:
        config = config.replace(partition_strategy=PartitionStrategy.LEASE)
    configure(LogFormat(log_format), LogLevel(log_level))
    token = find_token(token_file, os.environ)  # which may have something to log
    is_clean = run_agent(config, http, token=token, allow_remote=http_allow_remote, grace=grace, lease_file=lease_file)
    if not is_clean:
        raise SystemExit(1)
