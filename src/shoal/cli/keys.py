"""`shoal keys`."""

from __future__ import annotations

import secrets
import sys
import time

import click

from shoal.agent import schema
from shoal.agent.text import printable
from shoal.cli.client import AgentClient
from shoal.cli.options import agent_option, json_option
from shoal.cli.output import append_text, print_columns, print_json, write_new
from shoal.cli.warnings import telling_warnings
from shoal.errors import ConfigError
from shoal.keys import ClusterKey
from shoal.net.identity_files import read_identity_key, read_public_key, read_revocable
from shoal.net.key_file import refuse_key
from shoal.net.secret_file import read_secret
from shoal.wire.certificates import ALL_TAGS, Certificate, Right
from shoal.wire.identity_keys import IdentityKey
from shoal.wire.revocations import Revocation
from shoal.wire.tokens import AdmissionToken

_DAY = 86_400
_HEADINGS = ("NAME", "ADDRESS", "KEYS", "ENCRYPTION", "PROBLEM")


@click.group()
def keys() -> None:
    """Show or rotate the keys of the whole cluster, through one agent.

    To rotate: `shoal keygen -o FILE`, `shoal keys install FILE`, `shoal keys use ID`, `shoal keys remove OLD-ID`, and
    put the new key into every member's key file. All members are asked, each answer is shown, and what would cut a
    member off is refused. The exit code is 1 when a member did not do as asked.

    `shoal keys issue`, `token` and `revoke` are for clusters whose members have identities, and ask nobody. Where
    there is an authority, only a node whose certificate has the right may change keys: `shoal keys issue --allow keys`.
    """


@keys.command("list")
@json_option
@agent_option
def list_keys(*, as_json: bool, client: AgentClient) -> None:
    """Show which keys the members hold, by their ids, the one that each seals with first."""
    _tell(client.list_keys(), as_json=as_json)


@keys.command()
@click.argument("path", metavar="FILE")
@json_option
@agent_option
def install(path: str, *, as_json: bool, client: AgentClient) -> None:
    """Let all members open with the key in FILE ('-' is standard input); they do not seal with it yet.

    May be repeated until all have it.
    """
    _tell(client.install_key(_read_key(path)), as_json=as_json)


@keys.command()
@click.argument("id")
@json_option
@agent_option
def use(id: str, *, as_json: bool, client: AgentClient) -> None:
    """Let all members seal with the key of that id; refused unless all hold it."""
    _tell(client.use_key(id), as_json=as_json)


@keys.command()
@click.argument("id")
@click.option("--strand", is_flag=True, help="Leave those behind that are away and may come back with this key alone.")
@json_option
@agent_option
def remove(id: str, *, strand: bool, as_json: bool, client: AgentClient) -> None:
    """Let all members forget the key of that id; refused as long as one seals with it, or is away."""
    _tell(client.remove_key(id, strand=strand), as_json=as_json)


@keys.command()
@click.argument("name")
@click.option("--authority", required=True, metavar="FILE", help="The authority's secret identity key.")
@click.option("--public-key", required=True, metavar="FILE", help="The node's identity.pub.")
@click.option("--cluster", default="shoal", show_default=True, help="The one cluster that the node may join.")
@click.option("--days", type=click.IntRange(1, 36_500), default=365, show_default=True, help="How long it is good for.")
@click.option(
    "--tags", "namespaces", multiple=True, metavar="NAMESPACE", help="Tags that it may publish.  [default: all]"
)
@click.option(
    "--allow",
    "rights",
    type=click.Choice([right.value for right in Right]),
    multiple=True,
    help="What it may do to others: change keys, ask them to leave.  [default: nothing]",
)
def issue(
    name: str,
    *,
    authority: str,
    public_key: str,
    cluster: str,
    days: int,
    namespaces: tuple[str, ...],
    rights: tuple[str, ...],
) -> None:
    """Print a certificate with which the node NAME may join; needs no agent.

    NAMESPACE allows the tag of that name, and those that begin with it and a dot. Whoever may use the API of a node
    with --allow has its rights.
    """
    if name.endswith("*"):
        raise click.BadParameter(
            "a certificate is for one node and one key; `shoal keys token` admits all whose names begin so",
            param_hint="NAME",
        )
    certificate = Certificate.issue(
        _read_authority(authority),
        cluster,
        name,
        read_public_key("--public-key", public_key),
        expires=int(time.time()) + days * _DAY,
        namespaces=namespaces or ALL_TAGS,
        rights=map(Right, rights),
    )
    click.echo(certificate.text)


@keys.command()
@click.argument("name")
@click.option("--authority", required=True, metavar="FILE", help="The authority's secret identity key.")
@click.option("--cluster", default="shoal", show_default=True, help="The one cluster that nodes may join.")
@click.option("--days", type=click.IntRange(1, 36_500), default=7, show_default=True, help="How long it is good for.")
@click.option(
    "--tags", "namespaces", multiple=True, metavar="NAMESPACE", help="Tags that they may publish.  [default: all]"
)
@click.option("--output", "-o", "path", metavar="FILE", help="Write it to a new file that only you can read.")
def token(name: str, *, authority: str, cluster: str, days: int, namespaces: tuple[str, ...], path: str | None) -> None:
    """Print a secret with which nodes may join under NAME, without a certificate; needs no agent.

    NAME is one name, or 'gpu-*' for all that begin so. Nodes are members until the token ends, and may do nothing to
    others. NAMESPACE is as for `issue`.
    """
    made = AdmissionToken.issue(
        _read_authority(authority),
        cluster,
        name,
        IdentityKey(secrets.token_bytes(IdentityKey.SIZE)),
        expires=int(time.time()) + days * _DAY,
        namespaces=namespaces or ALL_TAGS,
    )
    if path is None:
        click.echo(made.text)
    else:
        write_new(path, made.text)


@keys.command()
@click.argument("paths", metavar="FILE...", nargs=-1, required=True)
@click.option("--authority", required=True, metavar="FILE", help="The authority's secret identity key.")
@click.option("--cluster", default="shoal", show_default=True, help="The one cluster that it is about.")
@click.option("--output", "-o", "output", metavar="FILE", help="Add it to a file, which is made if it is not there.")
def revoke(paths: tuple[str, ...], *, authority: str, cluster: str, output: str | None) -> None:
    """Print revocations of certificates and tokens; needs no agent.

    FILE is a certificate, a node's identity.pub, or an admission token, which takes all out that joined with it. The
    node's key counts for nothing any more, in whichever certificate; a node that shall come back needs another one.
    Agents read the file that the setting `revocations` names, again every 10 s, and tell the others.
    """
    issuer = _read_authority(authority)
    made = ((printable(path), Revocation.issue(issuer, cluster, read_revocable(path))) for path in paths)
    lines = "".join(f"{revocation.text}  # {path}\n" for path, revocation in made)
    if output is None:
        click.echo(lines, nl=False)
    else:
        append_text(output, lines)


def _read_authority(path: str) -> IdentityKey:
    with telling_warnings():
        return read_identity_key("--authority", path)


def _read_key(path: str) -> ClusterKey:
    refuse_key("FILE", path, "put it into a file, or give '-' and it on standard input")
    text = sys.stdin.readline() if path == "-" else _only_line(path)
    try:
        return ClusterKey.parse(text)
    except ConfigError as error:
        raise ConfigError("FILE", path, error.problem) from None


def _only_line(path: str) -> str:
    with telling_warnings():
        text = read_secret("FILE", path, "make one with `shoal keygen -o FILE`")
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    found = [line for line in lines if line]
    if len(found) != 1:
        raise ConfigError("FILE", path, f"holds {len(found)} keys; give a file with the one to install")
    return found[0]


def _tell(report: schema.KeyReport, *, as_json: bool) -> None:
    if as_json:
        print_json(report)
    else:
        print_columns([_HEADINGS, *map(_cells, report.members)])
        if report.refusal is not None:
            click.echo(f"Refused: {printable(report.refusal)}", err=True)
    if not report.complete:
        raise SystemExit(1)


def _cells(member: schema.MemberKeys) -> tuple[str, ...]:
    return (
        printable(member.name),
        member.address,
        " ".join(member.keys) or "-",
        member.encryption or "-",
        printable(member.problem or ""),
    )
