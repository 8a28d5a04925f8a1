"""The agent's HTTP API: an ASGI application over one `Cluster`, which can also be mounted in another application."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import suppress
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from shoal import __version__, types
from shoal.agent import schema
from shoal.agent.explanation import explain
from shoal.agent.token import HttpToken
from shoal.cluster import Cluster
from shoal.errors import (
    ConfigError,
    ForbiddenError,
    InvalidAddressError,
    KeyringError,
    LifecycleError,
    MessageTooLargeError,
    MissingExtraError,
    ShoalError,
    ShoalTimeoutError,
    TransportError,
)
from shoal.events import SeedUnreachable, Verdict
from shoal.subscription import Subscription
from shoal.types import Address, NodeId

try:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import Response, StreamingResponse
    from starlette.routing import Route
    from starlette.types import ASGIApp, Receive, Scope, Send
except ImportError as error:
    raise MissingExtraError("the agent's HTTP API", "http") from error

__all__ = ["create_app", "only_hosts_of"]

_MAX_BODY: Final = 256 * 1024
"""Bytes: several times the largest tag set that a node may have."""
_MAX_STREAMS: Final = 64
"""Event streams that are open at once."""
_HEARTBEAT: Final = 10.0
"""Seconds between signs of life on an event stream without events; they also find out who hung up."""
_JOIN_PATIENCE: Final = 5.0
"""Seconds that `POST /v1/join` waits to see what becomes of the seeds."""

_T = TypeVar("_T")


def create_app(
    cluster: Cluster,
    *,
    trusted_host: Callable[[str], bool] | None = None,
    token: HttpToken | None = None,
    on_leave: Callable[[], None] | None = None,
) -> Starlette:
    """The API of a started `cluster`.

    Requests must show `token`, if there is one, but for `/healthz`. Without it `trusted_host` says which host names
    they may be addressed to; without either, that is left to whoever mounts the application. `on_leave` is called when
    `POST /v1/leave` was asked for, before the goodbye.
    """
    api = _Api(cluster, on_leave)
    guards = [] if trusted_host is None else [Middleware(_HostGuard, trusted=trusted_host)]
    if token is not None:  # which a web page does not have, whatever host it names
        guards = [Middleware(_TokenGuard, token=token)]
    return Starlette(
        routes=[
            Route("/healthz", api.healthz, methods=["GET"]),
            Route("/v1/info", api.info, methods=["GET"]),
            Route("/v1/self", api.self, methods=["GET"]),
            Route("/v1/partition", api.partition, methods=["GET"]),
            Route("/v1/members", api.members, methods=["GET"]),
            Route("/v1/members/{name:path}/evidence", api.evidence, methods=["GET"]),
            Route("/v1/members/{name:path}", api.member, methods=["GET"]),
            Route("/v1/events", api.events, methods=["GET"]),
            Route("/v1/events/saved", api.saved_events, methods=["GET"]),
            Route("/v1/join", api.join, methods=["POST"]),
            Route("/v1/leave", api.leave, methods=["POST"]),
            Route("/v1/drain", api.drain, methods=["POST"]),
            Route("/v1/ready", api.ready, methods=["POST"]),
            Route("/v1/stall", api.stall, methods=["POST"]),
            Route("/v1/keys", api.list_keys, methods=["GET"]),
            Route("/v1/keys/install", api.install_key, methods=["POST"]),
            Route("/v1/keys/use", api.use_key, methods=["POST"]),
            Route("/v1/keys/remove", api.remove_key, methods=["POST"]),
            Route("/v1/tags", api.set_tags, methods=["PUT"]),
            Route("/v1/tags", api.update_tags, methods=["PATCH"]),
        ],
        middleware=guards,
        exception_handlers={
            HTTPException: _refused,
            ShoalError: _failed,
            ClientDisconnect: _failed,
            Exception: _crashed,
        },
    )


def only_hosts_of(bound: Address) -> Callable[[str], bool]:
    """Which hosts a request may name when the API listens on `bound`.

    A web page whose name was made to lead here (DNS rebinding) still names its own host, so names are taken only if the
    API was bound to them.
    """

    def is_trusted(host: str) -> bool:
        asked = Address(host, bound.port)
        return asked.is_loopback or host == bound.host or (bound.is_unspecified and not asked.is_name)

    return is_trusted


class _Api:
    """The handlers."""

    def __init__(self, cluster: Cluster, on_leave: Callable[[], None] | None) -> None:
        self._cluster = cluster
        self._on_leave = on_leave
        self._streams = 0

    async def healthz(self, request: Request) -> Response:
        _check_query(request)
        health = schema.Health.of(self._cluster.health())
        return _json(health, status=200 if health.ready else 503)

    async def info(self, request: Request) -> Response:
        _check_query(request)
        return _json(
            schema.Info(
                version=__version__,
                cluster=self._cluster.config.cluster,
                member=self._form(self._cluster.local),
                health=schema.Health.of(self._cluster.health()),
                partition=self._partition(),
                stats=self._cluster.stats(),
            )
        )

    async def self(self, request: Request) -> Response:
        _check_query(request)
        return _json(self._form(self._cluster.local))

    async def partition(self, request: Request) -> Response:
        _check_query(request)
        return _json(self._partition())

    def _partition(self) -> schema.Partition | None:
        partition = self._cluster.partition()
        return None if partition is None else schema.Partition.of(partition, self._now())

    async def members(self, request: Request) -> Response:
        _check_query(request, {"state", "readiness", "tag"})
        readiness = [_read_readiness(text) for text in request.query_params.getlist("readiness")]
        states = [_read_state(text) for text in request.query_params.getlist("state")]
        tags = dict(_read_tag(text) for text in request.query_params.getlist("tag"))
        now = self._now()
        return _json(
            [
                schema.Member.of(member, now)
                for member in sorted(self._cluster.all_members(), key=lambda member: member.name)
                if member.has_tags(tags)
                and (not states or member.state in states)
                and (not readiness or member.readiness in readiness)
            ]
        )

    async def member(self, request: Request) -> Response:
        _check_query(request)
        return _json(self._form(self._find(request.path_params["name"])))

    async def evidence(self, request: Request) -> Response:
        _check_query(request)
        member, now = self._find(request.path_params["name"]), self._now()
        return _json([_verdict(verdict, now) for verdict in self._cluster.evidence(member.id)])

    def _find(self, name: str) -> types.Member:
        member = self._cluster.member(name)
        if member is None:
            with suppress(ValueError):
                member = self._cluster.member(NodeId.parse(name))
        if member is None:
            raise HTTPException(404, f"no member has the name or id {name!r}")
        return member

    async def events(self, request: Request) -> Response:
        _check_query(request)
        if request.method == "HEAD":
            return Response(media_type=_EventStream.media_type)
        if self._streams >= _MAX_STREAMS:
            raise HTTPException(503, f"{self._streams} event streams are open, which is the limit; close one")
        # Subscribed before the answer begins: who has the answer's head misses nothing from then on.
        return _EventStream(self._stream(self._cluster.events()), headers={"Cache-Control": "no-store"})

    async def saved_events(self, request: Request) -> Response:
        _check_query(request, {"count"})
        count = _read_count(request.query_params.get("count"))
        return _json([schema.SavedEvent.of(event) for event in self._cluster.saved_events()[-count:]])

    async def join(self, request: Request) -> Response:
        _check_query(request)
        body = await _read_body(request, schema.JoinRequest)
        seeds = [Address.parse(seed) for seed in body.seeds]
        with self._cluster.events() as events:
            await self._cluster.join(seeds)
            return _json(await _JoinWatch(self._cluster, seeds).follow(events))

    async def leave(self, request: Request) -> Response:
        _check_query(request)
        body = await _read_body(request, schema.LeaveRequest, default=schema.LeaveRequest())
        if body.member is not None and (member := self._find(body.member)).id != self._cluster.local.id:
            await self._cluster.ask_to_leave(member)
            return _json(self._form(member))
        if self._on_leave is not None:
            self._on_leave()
        await self._cluster.leave()
        return _json(self._form(self._cluster.local))

    async def drain(self, request: Request) -> Response:
        return await self._publish(request, types.Readiness.DRAINING)

    async def ready(self, request: Request) -> Response:
        return await self._publish(request, types.Readiness.READY)

    async def _publish(self, request: Request, readiness: types.Readiness) -> Response:
        _check_query(request)
        await _read_body(request, schema.ReadinessRequest, default=schema.ReadinessRequest())
        await self._cluster.set_readiness(readiness)
        return _json(self._form(self._cluster.local))

    async def stall(self, request: Request) -> Response:
        _check_query(request)
        body = await _read_body(request, schema.StallRequest)
        await self._cluster.declare_stall(body.reason, at_most=body.at_most)
        return _json(self._form(self._cluster.local))

    async def list_keys(self, request: Request) -> Response:
        _check_query(request)
        return _json(schema.KeyReport.of(await self._cluster.list_keys()))

    async def install_key(self, request: Request) -> Response:
        _check_query(request)
        body = await _read_body(request, schema.InstallKeyRequest)
        return _json(schema.KeyReport.of(await self._cluster.install_key(body.key)))

    async def use_key(self, request: Request) -> Response:
        _check_query(request)
        body = await _read_body(request, schema.UseKeyRequest)
        return _json(schema.KeyReport.of(await self._cluster.use_key(body.id)))

    async def remove_key(self, request: Request) -> Response:
        _check_query(request)
        body = await _read_body(request, schema.RemoveKeyRequest)
        return _json(schema.KeyReport.of(await self._cluster.remove_key(body.id, strand=body.strand)))

    async def set_tags(self, request: Request) -> Response:
        _check_query(request)
        await self._cluster.set_tags(await _read_body(request, schema.TagSet))
        return _json(self._cluster.local.tags)

    async def update_tags(self, request: Request) -> Response:
        _check_query(request)
        await self._cluster.update_tags(await _read_body(request, schema.TagChanges))
        return _json(self._cluster.local.tags)

    async def _stream(self, subscription: Subscription) -> AsyncIterator[bytes]:
        self._streams += 1
        try:
            with subscription:
                yield b": shoal\n\n"
                while True:
                    try:
                        async with asyncio.timeout(_HEARTBEAT):
                            event = await anext(subscription)
                    except TimeoutError:
                        yield b": heartbeat\n\n"
                        continue
                    except StopAsyncIteration:
                        return
                    form = schema.event_of(event, self._now())
                    yield b"event: %s\ndata: %s\n\n" % (schema.event_name(form).encode(), msgspec.json.encode(form))
        finally:
            self._streams -= 1

    def _form(self, member: types.Member) -> schema.Member:
        return schema.Member.of(member, self._now())

    def _now(self) -> schema.Moment:
        return schema.Moment.at(self._cluster.now())


class _EventStream(StreamingResponse):
    media_type = "text/event-stream"


class _JoinWatch:
    """Sees what becomes of some seeds: a member turns up there, or none answers."""

    def __init__(self, cluster: Cluster, seeds: list[Address]) -> None:
        self._cluster = cluster
        #: Each seed that nothing is known of yet, with the addresses that a member there would have.
        self._pending = {seed: {seed} for seed in seeds}
        self._reached: list[str] = []
        self._unreachable: list[schema.UnreachableSeed] = []

    async def follow(self, events: Subscription) -> schema.JoinResult:
        """Until all is known, the patience is over or the cluster closes."""
        with suppress(TimeoutError, StopAsyncIteration):
            async with asyncio.timeout(_JOIN_PATIENCE):
                await self._resolve()
                self._look()
                while self._pending:
                    event = await anext(events)
                    if isinstance(event, SeedUnreachable):
                        self._give_up(event.address, event.reason)
                    self._look()
        return schema.JoinResult(
            reached=self._reached, unreachable=self._unreachable, pending=[str(seed) for seed in self._pending]
        )

    async def _resolve(self) -> None:
        loop = asyncio.get_running_loop()
        for seed, addresses in self._pending.items():
            if seed.is_name:
                try:
                    found = await loop.getaddrinfo(seed.host, seed.port, type=socket.SOCK_DGRAM)
                except OSError:
                    continue  # the cluster meets the same and says why
                addresses.update(Address(*where[:2]) for *_, where in found)

    def _look(self) -> None:
        local = self._cluster.local
        present = {member.address for member in self._cluster.all_members() if member.state.is_present}
        for seed, addresses in list(self._pending.items()):
            if local.address in addresses:
                self._give_up(seed, "it is this node itself")
            elif addresses & present:
                del self._pending[seed]
                self._reached.append(str(seed))

    def _give_up(self, seed: Address, reason: str) -> None:
        if self._pending.pop(seed, None) is not None:
            self._unreachable.append(schema.UnreachableSeed(str(seed), reason))


class _HostGuard:
    """Refuses requests that a web page in somebody's browser may have made: see `only_hosts_of`."""

    def __init__(self, app: ASGIApp, trusted: Callable[[str], bool]) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (problem := self._problem(Request(scope))) is not None:
            await _json(schema.Failure(problem), status=403)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _problem(self, request: Request) -> str | None:
        host = request.headers.get("host", "")
        if not self._trusts(f"//{host}"):
            return f"the header Host names {host!r}; ask the agent under the address that it listens on"
        origin = request.headers.get("origin")
        if origin is not None and not self._trusts(origin):
            return f"the header Origin names {origin!r}; pages from elsewhere may not use this agent"
        return None

    def _trusts(self, url: str) -> bool:
        try:
            host = urlsplit(url).hostname
        except ValueError:
            return False
        return host is not None and self._trusted(host)


class _TokenGuard:
    """Refuses requests without the token; whether the node is well may be asked by anyone."""

    def __init__(self, app: ASGIApp, token: HttpToken) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == "/healthz" or self._shows_token(Request(scope)):
            await self._app(scope, receive, send)
            return
        problem = "the header Authorization does not show this agent's token; see --token-file"
        refusal = _json(schema.Failure(problem), status=401, headers={"WWW-Authenticate": "Bearer"})
        await refusal(scope, receive, send)

    def _shows_token(self, request: Request) -> bool:
        return self._token.matches(request.headers.get("authorization", ""))


async def _read_body(request: Request, form: type[_T], default: _T | None = None) -> _T:
    """The body as `form`, or `default` where it is empty.

    Web pages can send only forms and texts to strange hosts unasked, never JSON; hence the check of its type.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise HTTPException(415, "the body must be JSON; send the header Content-Type: application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            raise HTTPException(413, f"the body is larger than {_MAX_BODY} bytes")
    if not body and default is not None:
        return default
    try:
        return msgspec.json.decode(body, type=form)
    except msgspec.DecodeError as error:
        raise HTTPException(400, f"the body is not what is expected here: {_lower_first(str(error))}") from None


def _check_query(request: Request, known: Collection[str] = ()) -> None:
    for key in request.query_params:
        if key not in known:
            expected = f"expected {', '.join(sorted(known))}" if known else "none is expected here"
            raise HTTPException(400, f"unknown parameter {key!r}; {expected}")


def _read_count(text: str | None) -> int:
    """0 for all."""
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and int(text[:10]) > 0):
        raise HTTPException(400, f"count={text!r} is no number of events; it is 1 or more")
    return int(text[:10])


def _read_state(text: str) -> types.MemberState:
    for state in types.MemberState:
        if text == str(state):
            return state
    raise HTTPException(400, f"state={text!r} is no state; it is one of {', '.join(map(str, types.MemberState))}")


def _read_readiness(text: str) -> types.Readiness:
    for readiness in types.Readiness:
        if text == str(readiness):
            return readiness
    known = ", ".join(map(str, types.Readiness))
    raise HTTPException(400, f"readiness={text!r} is no readiness; it is one of {known}")


def _read_tag(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise HTTPException(400, f"tag={text!r} is no tag; write tag=KEY=VALUE")
    return key, value


def _verdict(verdict: Verdict, now: schema.Moment) -> schema.Verdict:
    return schema.Verdict(
        time=now.time_of(verdict.at),
        id=str(verdict.member.id),
        address=str(verdict.member.address),
        state=schema.state_name(verdict.member.state),
        incarnation=verdict.member.incarnation,
        evidence=schema.Evidence.of(verdict.evidence, now),
        refuted=None if verdict.refuted_at is None else now.time_of(verdict.refuted_at),
        explanation=explain(verdict, now),
    )


def _json(form: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(form), status, headers, media_type="application/json")


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem, path = error.detail, request.url.path
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        problem = f"{request.method} is not possible on {path}; {allowed} is"
    elif error.status_code == 404 and problem == "Not Found":
        problem = f"there is nothing at {path}"
    return _json(schema.Failure(problem), error.status_code, error.headers)


_STATUS: Final[list[tuple[type[Exception], int]]] = [
    (MessageTooLargeError, 413),
    (InvalidAddressError, 400),
    (ConfigError, 400),
    (KeyringError, 409),
    (ForbiddenError, 403),
    (TransportError, 502),
    (ShoalTimeoutError, 504),
    (LifecycleError, 503),
]


def _failed(_request: Request, error: Exception) -> Response:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    return _json(schema.Failure(str(error)), status)


def _crashed(_request: Request, _error: Exception) -> Response:
    return _json(schema.Failure("the agent failed over this request; its log says how"), 500)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
