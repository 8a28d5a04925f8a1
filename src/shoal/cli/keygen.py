"""`shoal keygen`."""

from __future__ import annotations

import secrets

import click

from shoal.cli.output import write_new
from shoal.keys import ClusterKey
from shoal.wire.identity_keys import IdentityKey


@click.command()
@click.option("--identity", is_flag=True, help="Make the key of one node, or of an authority; needs --output.")
@click.option("--output", "-o", "path", metavar="FILE", help="Write it to a new file that only you can read.")
def keygen(path: str | None, *, identity: bool) -> None:
    """Make a key of 32 random bytes, and print it in base64; all members of a cluster share one.

    Needs no agent. The key's id, which may be shown to anybody, goes to standard error. With --identity it is a key
    that a node has for itself: the secret goes to FILE, and what others know it by to FILE.pub and standard output.
    """
    if identity:
        _make_identity(path)
        return
    key = ClusterKey(secrets.token_bytes(ClusterKey.SIZE))
    if path is None:
        click.echo(key.text)
    else:
        write_new(path, key.text)
    click.echo(f"key id {key.id}", err=True)


def _make_identity(path: str | None) -> None:
    if path is None:
        raise click.ClickException("an identity key is never printed; say where to write it with -o FILE")
    key = IdentityKey(secrets.token_bytes(IdentityKey.SIZE))
    write_new(path, key.text)
    write_new(f"{path}.pub", str(key.public), mode=0o644)
    click.echo(str(key.public))
