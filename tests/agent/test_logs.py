import json
import logging
import sys

import pytest

from shoal.agent.logs import EventLog, JsonFormatter, TextFormatter
from shoal.types import MemberState
from tests.agent.test_schema import NAMED_EVENTS

COMPLAINTS = {"seed_unreachable", "name_conflict"}


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> EventLog:
    caplog.set_level(logging.DEBUG, "shoal.agent")
    return EventLog(lambda: 0.0)


def test_a_failure_is_a_warning_with_its_evidence(log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    log.write(NAMED_EVENTS["member_failed"])

    (record,) = caplog.records
    line = json.loads(JsonFormatter().format(record))
    assert (line["event"], line["level"], line["logger"]) == ("member_failed", "warning", "shoal.agent")
    assert line["member"]["name"] == "b"
    assert [said["accuser"] for said in line["evidence"]["accusations"]] == ["a", "c"]
    assert line["evidence"]["probes"][0]["nacks"] == ["c"]


@pytest.mark.parametrize("name", sorted(NAMED_EVENTS.keys() - COMPLAINTS))
def test_every_event_is_one_line_in_both_formats(name: str, log: EventLog, caplog: pytest.LogCaptureFixture) -> None:
    log.write(NAMED_EVENTS[name])

    (record,) = caplog.records
    line = JsonFormatter().format(record)
    assert json.loads(line)["event"] == name
    assert "\n" not in line
    assert f" {name}: " in TextFormatter().format(record)


def test_what_the_cluster_itself_complains_of_is_not_said_twice(
    log: EventLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.write(NAMED_EVENTS["seed_unreachable"])
    log.write(NAMED_EVENTS["name_conflict"])

    assert not caplog.records


def test_what_a_peer_sent_cannot_forge_a_line() -> None:
    record = logging.makeLogRecord({"msg": "first\nsecond \x1b[2J", "levelname": "INFO", "name": "shoal.net"})

    assert TextFormatter().format(record).endswith(r"INFO    shoal.net: first\nsecond \x1b[2J")
    assert "\n" not in JsonFormatter().format(record)


def test_extra_fields_that_json_does_not_know_are_told_as_text() -> None:
    record = logging.makeLogRecord({"msg": "m", "name": "shoal", "state": MemberState})

    assert "MemberState" in json.loads(JsonFormatter().format(record))["state"]


def test_a_traceback_is_kept() -> None:
    try:
        raise ValueError("the cause")
    except ValueError:
        record = logging.makeLogRecord({"msg": "failed", "name": "shoal", "exc_info": sys.exc_info()})

    assert "the cause" in json.loads(JsonFormatter().format(record))["exception"]
    assert TextFormatter().format(record).splitlines()[-1] == "ValueError: the cause"
