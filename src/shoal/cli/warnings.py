"""What the package warns of while a command runs, which sets up no log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click

from shoal.agent.text import printable

__all__ = ["telling_warnings"]


class _Teller(logging.Handler):
    """One line on standard error for each warning."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"Warning: {printable(record.getMessage())}", err=True)


@contextmanager
def telling_warnings() -> Iterator[None]:
    """Tell on standard error what is warned of meanwhile: a secret that others can read, say."""
    log, teller = logging.getLogger("shoal"), _Teller(logging.WARNING)
    log.addHandler(teller)
    try:
        yield
    finally:
        log.removeHandler(teller)
