"""Whoever reads a warning knows whom it is about, what was seen and what to change."""

from __future__ import annotations

import ast
import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import shoal
from shoal.agent.logs import SETTINGS, EventLog
from shoal.config import ClusterConfig
from tests.agent.test_schema import NAMED_EVENTS

PACKAGE = Path(shoal.__file__).parent
FIELDS = {field.name for field in dataclasses.fields(ClusterConfig)}


def warnings_in(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the text of each warning, as it is written in the source."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "warning":
            (text,) = (arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant))
            yield node.lineno, str(text)


def everywhere() -> list[tuple[str, str]]:
    return [
        (f"{path.relative_to(PACKAGE)}:{line}", text)
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, text in warnings_in(path)
    ]


def test_the_package_is_really_read() -> None:
    assert len(everywhere()) > 8


@pytest.mark.parametrize(("where", "text"), everywhere())
def test_a_warning_says_what_was_seen_and_what_follows_or_is_to_be_done(where: str, text: str) -> None:
    assert "%" in text, f"{where} is about nothing in particular"
    assert ";" in text or text.count(":") > 1 or "(max_" in text, (
        f"{where} leaves its reader with the question what to do"
    )


@pytest.mark.parametrize("name", sorted(NAMED_EVENTS))
def test_an_events_warning_names_settings_that_exist(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "shoal.agent")

    EventLog(lambda: 0.0).write(NAMED_EVENTS[name])

    for record in caplog.records:
        named = set(record.getMessage().rpartition("(see ")[2].rstrip(")").split(", ")) & FIELDS
        assert bool(named) == (record.levelno == logging.WARNING)
        member = getattr(NAMED_EVENTS[name], "member", None)
        assert member is None or member.name in record.getMessage()


def test_every_setting_that_is_named_exists() -> None:
    assert {setting for settings in SETTINGS.values() for setting in settings} <= FIELDS
