"""Every error that shoal raises, as one small tree.

    ShoalError
    ├── ConfigError            a setting is unknown or out of range
    ├── InvalidAddressError    text that is no address
    ├── LifecycleError
    │   ├── NotStartedError
    │   ├── AlreadyStartedError
    │   └── ClosedError        used after close() or after the socket was closed
    ├── UnknownMemberError     no such member in this node's view
    ├── MessageTooLargeError   a payload, tag set or reply above its limit
    ├── KeyringError           a change of keys that was refused
    ├── ForbiddenError         this node has no right to do that to another
    ├── StateInUseError        another process holds the state directory
    ├── ShoalTimeoutError      also a TimeoutError
    │   └── SilentPeerError    a machine accepted a connection, and its process did not answer
    ├── MissingExtraError      an optional dependency is not installed
    └── TransportError
        ├── BindError          port in use, address not of this machine, no permission
        ├── ResolutionError    a host name that has no address
        ├── SendError
        │   └── RefusedError   nobody listens there, but the machine answered
        └── ReceiveError

What a *peer* sends never raises any of these: it is counted under a named reason and dropped.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = [
    "AlreadyStartedError",
    "BindError",
    "ClosedError",
    "ConfigError",
    "ForbiddenError",
    "InvalidAddressError",
    "KeyringError",
    "LifecycleError",
    "MessageTooLargeError",
    "MissingExtraError",
    "NotStartedError",
    "ReceiveError",
    "RefusedError",
    "ResolutionError",
    "SendError",
    "ShoalError",
    "ShoalTimeoutError",
    "SilentPeerError",
    "StateInUseError",
    "TransportError",
    "UnknownMemberError",
]


class ShoalError(Exception):
    """Root of the tree; catch it to catch everything that shoal raises.

    All can be pickled, and so cross from one process to another.
    """

    def __reduce__(self) -> tuple[Callable[..., ShoalError], tuple[object, ...]]:
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[ShoalError], args: tuple[object, ...], state: dict[str, object]) -> ShoalError:
    """An error as it was: constructors take the parts of a message, which are gone once it is made."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigError(ShoalError, ValueError):
    """A setting is unknown, of the wrong type or out of range; the message names all three."""

    def __init__(self, field: str, value: object, problem: str) -> None:
        super().__init__(f"{field} = {value!r}: {problem}")
        self.field = field
        self.value = value
        self.problem = problem


class InvalidAddressError(ShoalError, ValueError):
    """A text is no address; the message quotes it and says which part is wrong."""

    def __init__(self, text: str, problem: str) -> None:
        super().__init__(f"invalid address {text!r}: {problem}")
        self.text = text


class LifecycleError(ShoalError, RuntimeError):
    """An operation at the wrong moment of a node's life."""


class NotStartedError(LifecycleError):
    """The node was not started yet."""


class AlreadyStartedError(LifecycleError):
    """The node was started before; one object is one run."""


class ClosedError(LifecycleError):
    """The node, or a socket of it, is closed."""


class UnknownMemberError(ShoalError, LookupError):
    """No member of that name or id is in this node's view."""


class MessageTooLargeError(ShoalError, ValueError):
    """Something does not fit in its limit; nothing was sent and nothing was truncated."""

    def __init__(self, what: str, size: int, limit: int, setting: str) -> None:
        super().__init__(f"{what} has {size} bytes, the limit is {limit} ({setting})")
        self.size = size
        self.limit = limit


class KeyringError(ShoalError, RuntimeError):
    """Keys cannot be changed this way; nothing was changed where it was refused."""


class ForbiddenError(ShoalError, PermissionError):
    """This node does not have the right to do that to another; nothing was done."""


class StateInUseError(ShoalError, RuntimeError):
    """Another process keeps its state in this directory; the message names it."""


class ShoalTimeoutError(ShoalError, TimeoutError):
    """Something took longer than its limit."""


class SilentPeerError(ShoalTimeoutError):
    """A peer's machine accepted a connection, and its process did not answer in time."""


class MissingExtraError(ShoalError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the extra {extra!r}: pip install 'shoal[{extra}]'")
        self.extra = extra


class TransportError(ShoalError, OSError):
    """A socket could not do what was asked of it."""


class BindError(TransportError):
    """A local address cannot be listened on."""


class ResolutionError(TransportError):
    """A host name has no address, or the resolver did not answer."""


class SendError(TransportError):
    """Bytes could not be handed to the network or to the peer."""


class RefusedError(SendError):
    """The peer's machine answered that nobody listens: the process is gone, and the network works."""


class ReceiveError(TransportError):
    """A reply did not arrive, or arrived malformed or too large."""
