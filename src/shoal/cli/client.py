"""Talks to an agent over HTTP, with the standard library."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from shoal.agent import schema
from shoal.agent.token import HttpToken
from shoal.errors import ShoalError
from shoal.keys import ClusterKey
from shoal.types import Address

__all__ = ["AgentClient", "AgentError"]

_EVENTS_TIMEOUT: Final = 35.0
"""Seconds: more than three heartbeats of the event stream."""
_LONGEST_GOODBYE: Final = 60.0
"""Seconds: the limit of `leave_timeout`."""

_LONGEST_ROTATION: Final = 120.0
"""Seconds: for members that do not answer, a few of which are waited for at once."""

_EVENT: Final[msgspec.json.Decoder[schema.Event]] = msgspec.json.Decoder(schema.Event)

_T = TypeVar("_T")


class AgentError(ShoalError):
    """No agent answers, or the agent refused; the message says which and why."""


class AgentClient:
    """The API of the agent at one address. Every method raises `AgentError`."""

    def __init__(self, address: Address, *, timeout: float = 10.0, token: HttpToken | None = None) -> None:
        """`timeout` is in seconds without a byte from the agent, which may take half of the default for `join`."""
        self.address = address
        self._timeout = timeout
        self._headers = {} if token is None else {"Authorization": token.header}

    def members(
        self,
        states: tuple[str, ...] = (),
        tags: Mapping[str, str] | None = None,
        readiness: tuple[str, ...] = (),
    ) -> list[schema.Member]:
        """Members in these states and of this readiness, or in any, that have these tags."""
        query = [("state", state) for state in states] + [("readiness", one) for one in readiness]
        query += [("tag", f"{key}={value}") for key, value in (tags or {}).items()]
        path = "/v1/members" + (f"?{urlencode(query)}" if query else "")
        return self._ask("GET", path, list[schema.Member])

    def member(self, name_or_id: str) -> schema.Member:
        """One member."""
        return self._ask("GET", f"/v1/members/{quote(name_or_id, safe='')}", schema.Member)

    def evidence(self, name_or_id: str) -> list[schema.Verdict]:
        """The last verdicts about one member, the oldest first."""
        return self._ask("GET", f"/v1/members/{quote(name_or_id, safe='')}/evidence", list[schema.Verdict])

    def local(self) -> schema.Member:
        """The agent's own node."""
        return self._ask("GET", "/v1/self", schema.Member)

    def info(self) -> schema.Info:
        """The agent itself."""
        return self._ask("GET", "/v1/info", schema.Info)

    def join(self, seeds: list[str]) -> schema.JoinResult:
        """Let it contact further seeds."""
        return self._ask("POST", "/v1/join", schema.JoinResult, body=schema.JoinRequest(seeds))

    def leave(self, member: str | None = None) -> schema.Member:
        """Let it say goodbye and end, or ask another member to; returns that node as it was."""
        body = schema.LeaveRequest(member)
        return self._ask("POST", "/v1/leave", schema.Member, body=body, patience=_LONGEST_GOODBYE)

    def drain(self) -> schema.Member:
        """Let it say that it takes nothing new; returns its node once its peers were told."""
        return self._set_readiness("/v1/drain")

    def ready(self) -> schema.Member:
        """Let it take that back; returns its node once its peers were told."""
        return self._set_readiness("/v1/ready")

    def list_keys(self) -> schema.KeyReport:
        """Who holds which keys."""
        return self._ask("GET", "/v1/keys", schema.KeyReport, patience=_LONGEST_ROTATION)

    def install_key(self, key: ClusterKey) -> schema.KeyReport:
        """Let all members open with a key."""
        return self._rotate("install", schema.InstallKeyRequest(key=key.text))

    def use_key(self, id: str) -> schema.KeyReport:
        """Let all members seal with a key."""
        return self._rotate("use", schema.UseKeyRequest(id=id))

    def remove_key(self, id: str, *, strand: bool) -> schema.KeyReport:
        """Let all members forget a key."""
        return self._rotate("remove", schema.RemoveKeyRequest(id=id, strand=strand))

    def update_tags(self, changes: schema.TagChanges) -> schema.TagSet:
        """Set some tags and remove those whose value is None; returns all."""
        return self._ask("PATCH", "/v1/tags", schema.TagSet, body=changes)

    def events(self) -> Iterator[schema.Event]:
        """What happens from now on, until the agent ends the stream."""
        with closing(http.client.HTTPConnection(*self.address, timeout=_EVENTS_TIMEOUT)) as connection:
            response = self._send(connection, "GET", "/v1/events", None)
            if response.status != 200:
                raise self._refusal(response.status, self._read(response))
            while line := self._read_line(response):
                if line.startswith(b"data: "):
                    yield self._decode(line.removeprefix(b"data: "), _EVENT)

    def saved_events(self, count: int | None = None) -> list[schema.SavedEvent]:
        """What it keeps of what happened, the oldest first; of that the last `count`."""
        path = "/v1/events/saved" + ("" if count is None else f"?count={count}")
        return self._ask("GET", path, list[schema.SavedEvent])

    def _set_readiness(self, path: str) -> schema.Member:
        return self._ask("POST", path, schema.Member, body=schema.ReadinessRequest(), patience=_LONGEST_GOODBYE)

    def _rotate(self, operation: str, body: object) -> schema.KeyReport:
        path = f"/v1/keys/{operation}"
        return self._ask("POST", path, schema.KeyReport, body=body, patience=_LONGEST_ROTATION)

    def _ask(self, method: str, path: str, form: type[_T], *, body: object = None, patience: float = 0.0) -> _T:
        with closing(http.client.HTTPConnection(*self.address, timeout=self._timeout + patience)) as connection:
            response = self._send(connection, method, path, body)
            answer = self._read(response)
        if response.status != 200:
            raise self._refusal(response.status, answer)
        return self._decode(answer, msgspec.json.Decoder(form))

    def _send(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: object
    ) -> http.client.HTTPResponse:
        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else msgspec.json.encode(body), headers)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise self._silence(error) from error

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        try:
            return response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._silence(error) from error

    def _read_line(self, response: http.client.HTTPResponse) -> bytes:
        try:
            return response.readline()
        except (OSError, http.client.HTTPException) as error:
            raise self._silence(error) from error

    def _silence(self, error: Exception) -> AgentError:
        if isinstance(error, TimeoutError):
            return AgentError(f"the agent at {self.address} does not answer; it may be frozen")
        if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
            return self._stranger()
        return AgentError(
            f"no agent answers at {self.address}; start one with `shoal agent`, or name another with --agent HOST:PORT"
        )

    def _stranger(self) -> AgentError:
        return AgentError(f"what answers at {self.address} is no shoal agent of this version; see --agent HOST:PORT")

    def _refusal(self, status: int, answer: bytes) -> AgentError:
        try:
            return AgentError(msgspec.json.decode(answer, type=schema.Failure).error)
        except msgspec.DecodeError:
            return AgentError(f"{self._stranger()} (HTTP status {status})")

    def _decode(self, answer: bytes, decoder: msgspec.json.Decoder[_T]) -> _T:
        try:
            return decoder.decode(answer)
        except msgspec.DecodeError as error:
            raise self._stranger() from error
