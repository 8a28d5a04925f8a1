"""The pages name what exists."""

import json
import re
from pathlib import Path
from typing import get_args

import click
import msgspec
import pytest

from shoal.agent import schema
from shoal.cli.agent import agent
from shoal.cli.root import shoal
from tests.agent.test_schema import NAMED_EVENTS

DOCS = Path(__file__).parents[2] / "docs"
AGENT_PAGE = (DOCS / "agent.md").read_text("utf-8")
FORMS = [
    schema.Member,
    schema.Evidence,
    schema.Accusation,
    schema.SuspicionTime,
    schema.ProbeReport,
    schema.Verdict,
    schema.Health,
    schema.KeyReport,
    schema.MemberKeys,
    schema.SavedEvent,
]
CLI_PAGE = (DOCS / "cli.md").read_text("utf-8")


@pytest.mark.parametrize("option", [name for parameter in agent.params for name in parameter.opts])
def test_every_option_of_the_agent_is_described(option: str) -> None:
    assert f"| `{option}" in AGENT_PAGE


@pytest.mark.parametrize("name", NAMED_EVENTS)
def test_every_event_is_described(name: str) -> None:
    assert AGENT_PAGE.count(f"`{name}`") >= 2  # in the log and in the stream


@pytest.mark.parametrize("form", FORMS)
def test_every_field_is_described(form: type[msgspec.Struct]) -> None:
    missing = [field.name for field in msgspec.structs.fields(form) if f"`{field.name}`" not in AGENT_PAGE]

    assert not missing


def test_the_example_of_a_member_is_whole() -> None:
    (example,) = re.findall(r"^\[\{.*?\}\]$", AGENT_PAGE, re.MULTILINE | re.DOTALL)
    (member,) = json.loads(example)

    assert list(member) == [field.name for field in msgspec.structs.fields(schema.Member)]


def test_every_state_and_command_is_described() -> None:
    assert all(f"`{state}`" in AGENT_PAGE for state in get_args(schema.State))
    assert all(f"| `shoal {command}" in CLI_PAGE for command in shoal.list_commands(click.Context(shoal)))
