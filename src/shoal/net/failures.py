"""Errors of the operating system in words."""

from __future__ import annotations

import os
import socket
import sys

__all__ = ["reason"]


def reason(error: Exception) -> str:
    """What went wrong, in the system's own words and without its number; never empty."""
    if (
        isinstance(error, OSError)
        and error.errno
        and not isinstance(error, socket.gaierror)
        and sys.platform != "win32"
    ):
        return os.strerror(error.errno).lower()  # asyncio puts words of its own into some errors
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
