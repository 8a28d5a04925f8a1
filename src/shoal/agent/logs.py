"""The agent's log: structured lines through the standard `logging` module, as text or as JSON.

A line about something that has a name carries it as `event`; its facts are `extra` fields, which JSON shows in full.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from shoal import events
from shoal.agent import schema
from shoal.agent.text import describe, printable
from shoal.events import Mistrust, VerdictReason

__all__ = ["EventLog", "JsonFormatter", "LogFormat", "LogLevel", "TextFormatter", "configure"]

_STANDARD_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "event", "color_message"}

_LEVELS: Final[dict[type[schema.Event], int]] = {
    schema.MemberSuspected: logging.WARNING,
    schema.MemberStalled: logging.WARNING,
    schema.MemberFailed: logging.WARNING,
    schema.MemberDamped: logging.WARNING,
    schema.IdentityRefused: logging.WARNING,
    schema.RemovalHalted: logging.WARNING,
    schema.PartitionSuspected: logging.WARNING,
    schema.PartitionDecided: logging.WARNING,
    schema.LeaveRequested: logging.WARNING,
    schema.ViewChanged: logging.DEBUG,
    schema.EventsLost: logging.WARNING,
    schema.BroadcastReceived: logging.DEBUG,
    schema.MessageReceived: logging.DEBUG,
}
"""What is no matter of course; everything else is INFO."""

_SETTINGS: Final[dict[type[events.Event], tuple[str, ...]]] = {
    events.MemberSuspected: ("probe_timeout", "probe_interval"),
    events.MemberStalled: ("stall_tolerance",),
    events.MemberDamped: ("damping_suppress", "damping_half_life"),
    events.RemovalHalted: ("removal_share", "removal_hold"),
    events.PartitionSuspected: ("partition_share", "partition_window"),
    events.PartitionDecided: ("partition_strategy", "partition_stand_down"),
    events.LeaveRequested: ("authority",),
    events.EventsLost: ("event_buffer",),
}
"""What to change where a warning should not have come."""

_SILENT: Final = ("suspicion_alpha", "probe_timeout")
_FAILED: Final[dict[VerdictReason, tuple[str, ...]]] = {
    VerdictReason.PROBE_FAILED: _SILENT,
    VerdictReason.REPORTED: _SILENT,
    VerdictReason.SUSPICION_EXPIRED: _SILENT,
    VerdictReason.STALLED: ("stall_tolerance",),
    VerdictReason.REPLACED: ("name", "advertise"),  # Two nodes have the same, unless it was a restart.
    VerdictReason.REVOKED: ("revocations",),
}
"""The same of `MemberFailed`."""

_CREDENTIALS: Final = ("identity_certificate", "admission_token")
_REFUSED: Final[dict[Mistrust, tuple[str, ...]]] = {
    Mistrust.UNSIGNED: ("identity_key",),
    Mistrust.BAD_SIGNATURE: ("identity_key", "cluster"),
    Mistrust.KEY_CHANGED: ("identity_key",),
    Mistrust.UNCERTIFIED: ("authority", *_CREDENTIALS),
    Mistrust.EXPIRED: _CREDENTIALS,
    Mistrust.REVOKED: ("revocations",),
    Mistrust.FORBIDDEN_TAG: ("tags", *_CREDENTIALS),
}
"""The same of `IdentityRefused`, mostly at the node that was refused."""

_log = logging.getLogger("shoal.agent")


class LogFormat(StrEnum):
    """How a line looks."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The least urgent lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class TextFormatter(logging.Formatter):
    """`2026-11-21T05:50:00.123Z WARNING member_failed: b at 127.0.0.1:7947 failed: suspicion expired after 3.10 s`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback follows it on lines of its own."""
        topic = getattr(record, "event", record.name)
        line = f"{_time_text(record)} {record.levelname:<7} {topic}: {printable(record.getMessage())}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One object per line: `time`, `level`, `logger`, `event` where there is one, `message`, then the extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, tracebacks included."""
        fields: dict[str, Any] = {
            "time": _time_text(record),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if (event := getattr(record, "event", None)) is not None:
            fields["event"] = event
        fields["message"] = record.getMessage()
        fields |= {key: value for key, value in vars(record).items() if key not in _STANDARD_FIELDS}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(fields, enc_hook=str).decode()


def configure(log_format: LogFormat, level: LogLevel) -> None:
    """Send the log of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format is LogFormat.JSON else TextFormatter())
    logging.basicConfig(handlers=[handler], level=level.upper())
    # Other packages say at INFO and below what the agent says itself.
    for library in ("asyncio", "uvicorn"):
        logging.getLogger(library).setLevel(logging.WARNING)


class EventLog:
    """Writes what happens in the cluster to the log, but for what `Cluster` itself complains of there."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock

    def write(self, event: events.Event) -> None:
        """One event."""
        if isinstance(event, (events.SeedUnreachable, events.NameConflict)):
            return
        form = schema.event_of(event, schema.Moment.at(self._clock()))
        level = _LEVELS.get(type(form), logging.INFO)
        if _log.isEnabledFor(level):
            facts = msgspec.structs.asdict(form)
            del facts["time"]
            text = describe(form)
            if settings := _settings_for(event):
                text += f" (see {', '.join(settings)})"
            _log.log(level, "%s", text, extra={"event": schema.event_name(form), **facts})


def _settings_for(event: events.Event) -> tuple[str, ...]:
    match event:
        case events.MemberFailed(evidence=evidence):
            return _FAILED[evidence.reason]
        case events.IdentityRefused(reason=reason):
            return _REFUSED[reason]
        case _:
            return _SETTINGS.get(type(event), ())


def _time_text(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
