"""Options and arguments that commands share."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource

from shoal.agent.token import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE, HttpToken, find_token
from shoal.cli.client import AgentClient
from shoal.cli.warnings import telling_warnings
from shoal.errors import ShoalError
from shoal.types import Address

__all__ = [
    "Number",
    "address",
    "agent_option",
    "file_option",
    "http_address",
    "json_option",
    "read_setting",
    "reader",
    "seconds",
    "setting",
    "tag",
]

_DEFAULT_AGENT: Final = "127.0.0.1:7980"
_TOKEN_FILE: Final = "token_file"
_DAY: Final = 86_400
_GIVEN: Final = "shoal.cli.options.given"
_CLIENTS: Final = "shoal.cli.options.clients"

_T = TypeVar("_T")
_Command = TypeVar("_Command", bound=Callable[..., Any] | click.Command)
_Callback = Callable[[click.Context, click.Parameter, Any], Any]


class Number(click.FloatRange):
    """A number of a range; no NaN, which click lets through because it is neither below nor above anything."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, or click's own error."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number.", param, ctx)
        return number


def seconds(least: float, most: float = _DAY) -> Number:
    """So many seconds, a day at most."""
    return Number(least, most)


def reader(read: Callable[[str], _T]) -> _Callback:
    """A callback that reads each text of an option or argument.

    What is wrong with it is said in one line, without click's summary of the usage, which would bury it.
    """

    def callback(_ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        try:
            if isinstance(value, tuple):
                return tuple(map(read, value))
            return None if value is None else read(value)
        except ShoalError as error:
            where = f"{param.opts[0]}: " if isinstance(param, click.Option) else ""
            raise click.ClickException(f"{where}{error}") from None

    return callback


def _read_tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise ShoalError(f"{text!r} is no tag; write KEY=VALUE")
    return key, value


def read_setting(text: str) -> tuple[str, str]:
    """FIELD=VALUE in its two parts; raises `ShoalError`."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ShoalError(f"{text!r} is no setting; write FIELD=VALUE")
    return name, value


address: Final = reader(Address.parse)
"""Callback: HOST:PORT or [V6]:PORT."""
http_address: Final = reader(lambda text: None if text == "none" else Address.parse(text))
"""Callback: the same, or none."""
setting: Final = reader(read_setting)
"""Callback: FIELD=VALUE, for a field of `ClusterConfig`."""
tag: Final = reader(_read_tag)
"""Callback: KEY=VALUE; the value may be empty."""


def _writable(_ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    """Callback: a file that can be written; a long run shall not end in finding out that it cannot."""
    if path is not None and (problem := _write_problem(path)):
        raise click.ClickException(f"{param.opts[0]}: cannot write {path}: {os.strerror(problem)}")
    return path


def _write_problem(path: Path) -> int:
    """The number of the error that writing would end in, 0 for none."""
    folder = path.parent
    if not folder.exists():
        return errno.ENOENT
    if not folder.is_dir():
        return errno.ENOTDIR
    return 0 if os.access(path if path.exists() else folder, os.W_OK) else errno.EACCES


def _given(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Callback: the value, but what the group was given stands where its command was given nothing.

    So `shoal tags --agent HOST:PORT set a=b` asks that agent, as does `shoal tags set a=b --agent HOST:PORT`.
    """
    given = ctx.meta.setdefault(_GIVEN, {})
    if ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE:
        given[param.name] = value
    return given.get(param.name, value)


def _client(ctx: click.Context, param: click.Parameter, value: str) -> AgentClient:
    wanted = _given(ctx, param, value), ctx.params.pop(_TOKEN_FILE, None)
    clients = ctx.meta.setdefault(_CLIENTS, {})  # so that a group and its command read the token once
    if wanted not in clients:
        clients[wanted] = AgentClient(address(ctx, param, wanted[0]), token=_token_at(wanted[1]))
    client = clients[wanted]
    assert isinstance(client, AgentClient)
    return client


def _token_at(path: str | None) -> HttpToken | None:
    try:
        with telling_warnings():
            return find_token(path, os.environ)
    except ShoalError as error:
        raise click.ClickException(str(error)) from None


def agent_option(command: Any) -> Any:
    """`--agent` and `--token-file`: the client of the agent to ask."""
    command = click.option(
        "--token-file",
        _TOKEN_FILE,
        is_eager=True,  # before --agent, whose callback takes it
        callback=_given,
        metavar="FILE",
        envvar=TOKEN_FILE_VARIABLE,
        show_envvar=True,
        help=f"The token that the agent asks for.  [or {TOKEN_VARIABLE}: the token itself]",
    )(command)
    return click.option(
        "--agent",
        "client",
        callback=_client,
        metavar="HOST:PORT",
        envvar="SHOAL_AGENT",
        show_envvar=True,
        default=_DEFAULT_AGENT,
        show_default=True,
        help="Where the agent's HTTP API listens.",
    )(command)


def json_option(command: Any) -> Any:
    """`--json`: what programs read."""
    return click.option("--json", "as_json", is_flag=True, callback=_given, help="Print JSON.")(command)


def file_option(name: str, text: str) -> Callable[[_Command], _Command]:
    """A file to write, which can be written as far as that can be told before."""
    path = click.Path(dir_okay=False, path_type=Path)
    return click.option(name, type=path, callback=_writable, metavar="FILE", help=text)
