"""The one way in which a demo fails for another reason than a missed observation."""

from shoal.errors import ShoalError

__all__ = ["DemoError"]


class DemoError(ShoalError):
    """An agent could not be started, ended unasked, or does not answer; the message names it."""
