"""Reports of exceptions that should not exist and that nobody above could handle."""

from __future__ import annotations

import logging

__all__ = ["REPORT_INTERVAL", "FaultLog"]

REPORT_INTERVAL = 1.0
"""Seconds between two reports at least, so that a peer that found a way to provoke a fault cannot fill the log."""

_log = logging.getLogger("shoal.net")


class FaultLog:
    """Logs faults with their traceback, and says how many it left out."""

    __slots__ = ("_left_out", "_next_report")

    def __init__(self) -> None:
        self._next_report = 0.0
        self._left_out = 0

    def report(self, where: str, error: Exception, now: float) -> None:
        """Log `error` unless another was logged within the last `REPORT_INTERVAL`; `now` is monotonic seconds."""
        if now < self._next_report:
            self._left_out += 1
            return
        _log.error(
            "fault in %s, going on (%d more since the last report); please report it as a bug",
            where,
            self._left_out,
            exc_info=error,
        )
        self._next_report = now + REPORT_INTERVAL
        self._left_out = 0
