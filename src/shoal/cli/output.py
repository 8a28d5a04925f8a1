"""What commands print: tables and lines for people, JSON for programs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from shoal.agent import schema
from shoal.agent.text import describe, printable, tags_text

__all__ = [
    "age_text",
    "append_text",
    "console",
    "event_line",
    "member_table",
    "print_columns",
    "print_json",
    "print_members",
    "print_pairs",
    "write_new",
    "write_text",
]

_STATE_STYLES: Final = {
    "alive": "green",
    "suspect": "yellow",
    "dead": "red",
    "left": "bright_black",
    "draining": "cyan",
    "stalled": "cyan",
    "damped": "yellow",
}

_EVENT_STYLES: Final[dict[type[schema.Event], str]] = {
    schema.MemberJoined: "green",
    schema.MemberRecovered: "green",
    schema.MemberSuspected: "yellow",
    schema.MemberStalled: "yellow",
    schema.MemberFailed: "red",
    schema.MemberLeft: "bright_black",
    schema.MemberReadinessChanged: "cyan",
    schema.MemberDamped: "yellow",
    schema.MemberReinstated: "green",
    schema.RemovalHalted: "red",
    schema.RemovalResumed: "green",
    schema.PartitionSuspected: "red",
    schema.PartitionDecided: "red",
    schema.PartitionHealed: "green",
    schema.ViewChanged: "bright_black",
    schema.NameConflict: "red",
    schema.IdentityRefused: "red",
    schema.LeaveRequested: "yellow",
    schema.SeedUnreachable: "yellow",
    schema.EventsLost: "red",
}

_HEADINGS: Final = ("NAME", "STATE", "ADDRESS", "INC", "FOR", "TAGS")


def console() -> Console:
    """Standard output; colours only in a terminal that wants them."""
    return Console(highlight=False, soft_wrap=True)


def print_json(form: object) -> None:
    """One JSON value, indented for people who look at it."""
    click.echo(msgspec.json.format(msgspec.json.encode(form), indent=2))


def print_members(members: Sequence[schema.Member]) -> None:
    """A table in a terminal, aligned plain lines elsewhere."""
    out = console()
    if out.is_terminal:
        out.print(member_table(members), soft_wrap=False)
    else:
        print_columns([_HEADINGS, *map(_member_cells, members)])


def member_table(members: Iterable[schema.Member]) -> RenderableType:
    """The members as a table with colours."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in _HEADINGS:
        table.add_column(
            heading, justify="right" if heading in {"INC", "FOR"} else "left", no_wrap=heading not in {"NAME", "TAGS"}
        )
    for member in members:
        name, state, *others = _member_cells(member)
        table.add_row(Text(name), Text(state, _STATE_STYLES[state]), *map(Text, others))
    return table


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Rows of texts, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values."""
    print_columns([(f"{name}:", value) for name, value in pairs])


def write_text(path: Path, text: str) -> None:
    """Write a file; raises click's own error when that fails."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from error


def write_new(path: str, text: str, mode: int = 0o600) -> None:
    """Write a file that is not there yet; raises click's own error when that fails."""
    try:
        # O_EXCL: the only copy of a key must not be overwritten by a slip.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")


def append_text(path: str, text: str) -> None:
    """Add lines to a file that everybody may read, or make it; raises click's own error when that fails."""
    try:
        with Path(path).open("a+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
            is_cut = file.read(1) not in (b"\n", b"")  # The last line was written by hand.
            file.write(b"\n" * is_cut + text.encode())
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None


def event_line(event: schema.Event) -> Text:
    """One event: the local time of day, its name, what happened."""
    line = Text(f"{_local_time(event.time)}  ")
    line.append(f"{schema.event_name(event):<17}", _EVENT_STYLES.get(type(event), ""))
    return line.append(f"  {describe(event)}")


def age_text(seconds: float) -> str:
    """A duration in its two largest units."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    for unit, size, lower, lower_size in (("d", 86_400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // lower_size
            return f"{whole // size}{unit}{rest}{lower}" if rest else f"{whole // size}{unit}"
    return f"{whole}s"


def _member_cells(member: schema.Member) -> tuple[str, ...]:
    return (
        printable(member.name),
        _state_text(member),
        member.address,
        str(member.incarnation),
        age_text(member.age),
        tags_text(member.tags),
    )


def _state_text(member: schema.Member) -> str:
    """The state, or what keeps an alive member from taking work."""
    if member.damped and member.state == "alive":
        return "damped"
    return member.readiness if member.state == "alive" and member.readiness != "ready" else member.state


def _local_time(moment: datetime) -> str:
    return moment.astimezone().strftime("%H:%M:%S.%f")[:-3]
