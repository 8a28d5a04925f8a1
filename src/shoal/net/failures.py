"""Errors of the operating system in words."""

from __future__ import annotations

import os

__all__ = ["reason"]


def reason(error: Exception) -> str:
    """What went wrong, in the system's own words and without its number; never empty."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__
