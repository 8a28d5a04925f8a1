"""Sealed messages: bytes that prove that their sender holds a key of the cluster, and that nobody else can read.

The layout and what is bound to what stand in docs/protocol.md, section 12; what it protects from, in docs/security.md.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from math import inf
from typing import Final

from cryptography.exceptions import InvalidTag

from shoal.keys import ClusterKey, KeyId
from shoal.wire.generations import Generations
from shoal.wire.keyring import Keyring
from shoal.wire.replay import ReplayWindow
from shoal.wire.seals import SALT_SIZE, TAG_SIZE, Seal, Suite, forget_seals, make_seal

__all__ = [
    "LINE_SIZE",
    "MAX_COUNT",
    "OVERHEAD",
    "Channel",
    "OpenError",
    "Opened",
    "Opener",
    "Position",
    "SealFlaw",
    "Sealer",
    "channel_of",
    "position_of",
]

_SEALED: Final = 0x80
"""The bit of the first byte that tells sealed messages from plain ones, whose first byte is a version."""
_PROTOCOL_VERSION: Final = 1
LINE_SIZE = _LINE = 1 + KeyId.SIZE + SALT_SIZE
"""Bytes of kind, key id and salt, which all messages of one sender for one use begin with."""
_NONCE = struct.Struct(">III")
_TAIL = struct.Struct(">II")
_HEADER = _LINE + _TAIL.size
_ZEROS = bytes(4)

OVERHEAD = _HEADER + TAG_SIZE
"""Bytes that sealing adds to a message."""
MAX_COUNT = 1 << 31
"""Messages under one salt; the field would hold twice as many."""
_ACTIVE = 2048
"""Senders per generation whose derived keys are kept: 2.4 kB each, unless they are shared, and 2 µs to derive again."""


class Channel(IntEnum):
    """What a sealed message is for. It opens as nothing else."""

    DATAGRAM = 0
    REQUEST = 1
    REPLY = 2
    KEY_REQUEST = 3
    KEY_REPLY = 4
    CHALLENGE = 5
    """In the place of a reply: the request is to be sealed again, bound to what is in here."""


class SealFlaw(StrEnum):
    """Why bytes were not opened; the same word in counters, logs and tests."""

    NOT_SEALED = "not_sealed"
    """No sealed message of this protocol, or none that belongs here."""
    UNKNOWN_KEY = "unknown_key"
    """Sealed with a key that is not in the keyring."""
    STALE = "stale"
    """Sealed too long ago, or in the future, by this node's clock."""
    REPLAYED = "replayed"
    """It came before, or so many later ones did that nobody can tell."""
    BAD_TAG = "bad_tag"
    """Forged, damaged, or of a cluster of another name."""
    UNPROVEN = "unproven"
    """Genuine, but perhaps of before this node restarted: its sender has not proved yet that it runs now."""


class OpenError(Exception):
    """Bytes were not opened; internal, never seen by users."""

    def __init__(self, flaw: SealFlaw) -> None:
        super().__init__(flaw.value)
        self.flaw = flaw


@dataclass(frozen=True, slots=True)
class Position:
    """How far a sender has come with one of its salts."""

    line: bytes
    """Kind, key id and salt."""
    seconds: int
    """When it sealed the message of that count, by its clock."""
    count: int


class Opened(ReplayWindow):
    """What is known of the sender of opened messages: which key it holds, and which of its messages have come."""

    __slots__ = ("changes_before", "key_id", "lag")

    def __init__(self, key_id: KeyId, changes_before: int) -> None:
        super().__init__()
        self.key_id = key_id
        self.changes_before = changes_before
        """How often this node's keyring had been changed when the sender was heard first."""
        self.lag = 0.0
        """Seconds from the sealing of its newest message, by the sender's clock, to its coming, by ours."""


def channel_of(data: bytes) -> Channel | None:
    """What a message claims to be for; None when it is not sealed."""
    if len(data) < OVERHEAD or not data[0] & _SEALED:
        return None
    try:
        return Channel(data[0] >> 4 & 0x7)
    except ValueError:
        return None


def position_of(data: bytes) -> Position:
    """What a sealed message says of its sender; nothing of it is proved before it opens."""
    return Position(data[:_LINE], *_TAIL.unpack_from(data, _LINE))


class Sealer:
    """Seals messages for one channel, each with a nonce of its own.

    `new_salt` makes 16 random bytes, anew for each key and after `MAX_COUNT` messages: two sealers that ever drew the
    same would break both encryption and authentication.
    """

    __slots__ = ("_binding", "_channel", "_cluster", "_keyring", "_lines", "_new_salt", "_primary", "_suite")

    def __init__(
        self, keyring: Keyring, cluster: str, suite: Suite, channel: Channel, new_salt: Callable[[int], bytes]
    ) -> None:
        self._keyring = keyring
        self._cluster = cluster
        self._suite = suite
        self._channel = channel
        self._new_salt = new_salt
        self._binding = _binding(cluster, suite, channel)
        self._lines: dict[KeyId, _Line] = {}
        self._primary = self._line(keyring.primary)
        keyring.subscribe(lambda keys: self._use(keys[0]))

    def seal(self, data: bytes, seconds: int, *, bound: bytes = b"", key: ClusterKey | None = None) -> bytes:
        """`data` under the keyring's first key, or under `key`; `seconds` is the time since 1970.

        Who opens it must name the same `bound`.
        """
        line = self._primary if key is None else self._line(key)
        if line.count >= MAX_COUNT:
            line = self._primary = self._line(line.key)
        line.count += 1
        nonce = _NONCE.pack(0, seconds & 0xFFFFFFFF, line.count)
        return line.head + nonce[4:] + line.seal.encrypt(nonce, data, self._binding + bound)

    def renew(self) -> None:
        """Begin anew with other salts: receivers judge the next message as that of a sender they do not know."""
        self._lines.clear()
        self._primary = self._line(self._keyring.primary)

    def position(self, seconds: int) -> Position:
        """How far this one has come at that time."""
        return Position(self._primary.head, seconds & 0xFFFFFFFF, self._primary.count)

    def next_position(self, seconds: int, key: ClusterKey | None = None) -> Position:
        """Where `seal` will put the next message that it seals at that time with that key."""
        line = self._primary if key is None else self._line(key)
        if line.count >= MAX_COUNT:
            line = self._primary = self._line(line.key)
        return Position(line.head, seconds & 0xFFFFFFFF, line.count + 1)

    def _use(self, key: ClusterKey) -> None:
        self._primary = self._line(key)

    def _line(self, key: ClusterKey) -> _Line:
        line = self._lines.get(key.id)
        if line is None or line.key is not key or line.count >= MAX_COUNT:
            self._lines = {id: line for id, line in self._lines.items() if self._keyring.get(id) is line.key}
            line = self._lines[key.id] = _Line(
                key, self._suite, self._channel, self._new_salt(SALT_SIZE), self._binding
            )
        return line


class _Line:
    """The messages under one key and one salt."""

    __slots__ = ("count", "head", "key", "seal")

    def __init__(self, key: ClusterKey, suite: Suite, channel: Channel, salt: bytes, binding: bytes) -> None:
        self.key = key
        self.head = bytes((_kind(channel, suite),)) + key.id + salt
        self.seal = make_seal(suite, key, salt, binding)
        self.count = 0


class Opener:
    """Opens what sealers of the same cluster have sealed, each message once.

    `max_age` is in seconds: see `Opener.open`. `max_senders` bounds the senders whose messages are remembered: twice as
    many at most, and of the last so many that sent anything, all.
    """

    __slots__ = ("_active", "_bindings", "_challenge", "_distrusted", "_keyring", "_kinds", "_max_age", "_retired")

    def __init__(self, keyring: Keyring, cluster: str, *, max_age: float, max_senders: int) -> None:
        self._keyring = keyring
        self._max_age = max_age
        self._challenge = b""
        self._distrusted = -inf
        self._bindings = {
            _kind(channel, suite): _binding(cluster, suite, channel) for channel in Channel for suite in Suite
        }
        #: By channel: an enum's hash would cost more than all else about it.
        self._kinds = [frozenset(_kind(channel, suite) for suite in Suite) for channel in Channel]
        #: None of a key that is not in the ring any more.
        self._active: Generations[tuple[Seal, Opened]] = Generations(_ACTIVE, self._retire)
        self._retired: Generations[Opened] = Generations(max_senders)
        keyring.subscribe(self._keys_changed)

    def open(self, data: bytes, channel: Channel, now: float, *, bound: bytes = b"") -> tuple[bytes, Opened]:
        """The message in `data`, and who sealed it; `now` is the time in seconds since 1970.

        Raises `OpenError` for whatever is not genuine, is not for `channel`, was not sealed with the same `bound`, or
        came before. The first message of a sender must not be sealed more than `max_age` seconds before or after `now`;
        later ones must not come that much later, or earlier, after their sealing than the newest before them. A message
        that is bound to something needs neither, for it opens only as the answer to that. See `distrust` too.
        """
        if len(data) < OVERHEAD or data[0] not in self._kinds[channel]:
            raise OpenError(SealFlaw.NOT_SEALED)
        line = data[:_LINE]
        known = None if bound else self._active.get(line)
        sender = self._find(line) if known is None else known[1]
        seconds, count = _TAIL.unpack_from(data, _LINE)
        if not bound:
            if count <= sender.highest and not sender.admits(count):
                raise OpenError(SealFlaw.REPLAYED)
            if abs(now - seconds - sender.lag) > self._max_age:
                raise OpenError(SealFlaw.STALE)
        seal = self._derive(line) if known is None else known[0]
        must_prove = known is None and sender.highest < 0 and seconds <= self._distrusted and not bound
        bound_to = self._challenge if must_prove else bound
        try:
            message = seal.decrypt(_ZEROS + data[_LINE:_HEADER], data[_HEADER:], self._bindings[data[0]] + bound_to)
        except InvalidTag:
            if bound or not self._challenge:
                raise OpenError(SealFlaw.BAD_TAG) from None
            message = self._open_otherwise(seal, data, must_prove=must_prove)
        if not bound:
            # Only what proved genuine gets into tables: nobody without a key can push out what is there.
            if known is None:
                self._active.put(line, (seal, sender))
            if must_prove:
                sender.skip(count)  # What came before under this salt may be of before the restart.
                sender.lag = now - seconds
            elif sender.take(count):
                sender.lag = now - seconds
        return message, sender

    def distrust(self, until: float, challenge: bytes) -> None:
        """Be wary after a restart: others may play again what the run before has taken, or what was meant for it.

        Of senders that are new, what was sealed up to `until`, in seconds since 1970, opens only if it is bound to
        `challenge`, some random bytes of this run. Otherwise it is `UNPROVEN`, until the sender is `introduce`d.
        """
        self._distrusted = until
        self._challenge = challenge

    def introduce(self, position: Position) -> None:
        """Know a sender that has proved to run now; what it sealed up to that count counts as having come."""
        line = position.line
        key = self._keyring.get(line[1 : 1 + KeyId.SIZE])
        if key is None or line[0] not in self._bindings or self._active.get(line) or self._retired.get(line):
            return
        sender = Opened(key.id, self._keyring.changes)
        sender.skip(position.count)
        self._retired.put(line, sender)

    @property
    def senders(self) -> int:
        """How many senders are remembered; some may count twice."""
        return len(self._active) + len(self._retired)

    def _keys_changed(self, _keys: object) -> None:
        self._active.clear()
        forget_seals()

    def _open_otherwise(self, seal: Seal, data: bytes, *, must_prove: bool) -> bytes:
        """What does not open as it should: perhaps its sender has not met the challenge, or met it needlessly."""
        binding = self._bindings[data[0]] + (b"" if must_prove else self._challenge)
        try:
            message = seal.decrypt(_ZEROS + data[_LINE:_HEADER], data[_HEADER:], binding)
        except InvalidTag:
            raise OpenError(SealFlaw.BAD_TAG) from None
        if must_prove:
            raise OpenError(SealFlaw.UNPROVEN)
        return message

    def _find(self, line: bytes) -> Opened:
        """What is remembered of a sender that is not active, or a new one."""
        key = self._keyring.get(line[1 : 1 + KeyId.SIZE])
        if key is None:
            raise OpenError(SealFlaw.UNKNOWN_KEY)
        return self._retired.get(line) or Opened(key.id, self._keyring.changes)

    def _derive(self, line: bytes) -> Seal:
        key = self._keyring.get(line[1 : 1 + KeyId.SIZE])
        assert key is not None
        return make_seal(Suite(line[0] & 0xF), key, line[1 + KeyId.SIZE :], self._bindings[line[0]])

    def _retire(self, forgotten: Mapping[bytes, tuple[Seal, Opened]]) -> None:
        for line, (_, sender) in forgotten.items():
            self._retired.put(line, sender)


def _kind(channel: Channel, suite: Suite) -> int:
    return _SEALED | channel << 4 | suite


def _binding(cluster: str, suite: Suite, channel: Channel) -> bytes:
    """What every message is bound to: other clusters, versions, channels and algorithms have other bytes."""
    return b"shoal" + bytes((_PROTOCOL_VERSION, suite, channel)) + cluster.encode()
