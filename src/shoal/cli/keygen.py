"""`shoal keygen`."""

from __future__ import annotations

import os
import secrets

import click

from shoal.keys import ClusterKey


@click.command()
@click.option("--output", "-o", "path", metavar="FILE", help="Write it to a new file that only you can read.")
def keygen(path: str | None) -> None:
    """Make a key of 32 random bytes, and print it in base64; all members of a cluster share one.

    Needs no agent. The key's id, which may be shown to anybody, goes to standard error.
    """
    key = ClusterKey(secrets.token_bytes(ClusterKey.SIZE))
    if path is None:
        click.echo(key.text)
    else:
        _write(path, key.text)
    click.echo(f"key id {key.id}", err=True)


def _write(path: str, text: str) -> None:
    try:
        # O_EXCL: the only copy of a key must not be overwritten by a slip.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
