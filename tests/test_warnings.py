"""Whoever reads a warning knows whom it is about, what was seen and what to change."""

from __future__ import annotations

import ast
import dataclasses
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import shoal
from shoal import events
from shoal.agent.logs import EventLog
from shoal.config import ClusterConfig
from shoal.events import Mistrust, VerdictReason
from tests.agent.test_schema import EVIDENCE, NAMED_EVENTS, B

PACKAGE = Path(shoal.__file__).parent
FIELDS = {field.name for field in dataclasses.fields(ClusterConfig)}
SILENT = {VerdictReason.PROBE_FAILED, VerdictReason.REPORTED, VerdictReason.SUSPICION_EXPIRED}
"""Why a member is held dead that did not answer."""


def warnings_in(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the text of each warning, as it is written in the source."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "warning":
            (text,) = (arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant))
            yield node.lineno, str(text)


def settings_named(caplog: pytest.LogCaptureFixture) -> set[str]:
    """Those that the only line of the log sends its reader to, if any."""
    (record,) = caplog.records
    before, _, settings = record.getMessage().rpartition(" (see ")
    return set(settings.removesuffix(")").split(", ")) if before else set()


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
        assert bool(settings_named(caplog)) == (record.levelno == logging.WARNING)
        member = getattr(NAMED_EVENTS[name], "member", None)
        assert member is None or member.name in record.getMessage()


@pytest.mark.parametrize("reason", VerdictReason)
def test_a_failures_warning_names_what_decides_on_such_a_failure(
    reason: VerdictReason, caplog: pytest.LogCaptureFixture
) -> None:
    EventLog(lambda: 0.0).write(events.MemberFailed(B, replace(EVIDENCE, reason=reason)))

    named = settings_named(caplog)
    assert named <= FIELDS
    assert ("suspicion_alpha" in named) == (reason in SILENT)
    assert ("revocations" in named) == (reason is VerdictReason.REVOKED)
    assert ("name" in named) == (reason is VerdictReason.REPLACED)


@pytest.mark.parametrize(
    ("reason", "settings"),
    [
        (Mistrust.UNSIGNED, {"identity_key"}),
        (Mistrust.BAD_SIGNATURE, {"identity_key", "cluster"}),
        (Mistrust.KEY_CHANGED, {"identity_key"}),
        (Mistrust.UNCERTIFIED, {"authority", "identity_certificate", "admission_token"}),
        (Mistrust.EXPIRED, {"identity_certificate", "admission_token"}),
        (Mistrust.REVOKED, {"revocations"}),
        (Mistrust.FORBIDDEN_TAG, {"tags", "identity_certificate", "admission_token"}),
    ],
)
def test_a_refusals_warning_names_what_the_refused_node_lacks(
    reason: Mistrust, settings: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    EventLog(lambda: 0.0).write(events.IdentityRefused("b", B.id, B.address, reason))

    assert settings_named(caplog) == settings <= FIELDS


def test_every_reason_for_a_refusal_is_tried() -> None:
    (mark,) = test_a_refusals_warning_names_what_the_refused_node_lacks.pytestmark  # type: ignore[attr-defined]
    assert {reason for reason, _ in mark.args[1]} == set(Mistrust)
