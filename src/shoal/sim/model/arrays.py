"""The one place that imports numpy, which the extra `sim` brings."""

from __future__ import annotations

from shoal.errors import MissingExtraError

try:
    import numpy as np
except ImportError as error:
    raise MissingExtraError("the vectorised model", "sim") from error

__all__ = ["np"]
