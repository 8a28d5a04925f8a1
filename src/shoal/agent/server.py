"""Runs one node and its HTTP API as a process."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Final

from shoal.agent import schema
from shoal.agent.api import create_app, only_hosts_of
from shoal.agent.logs import EventLog
from shoal.agent.stopping import StopRequest
from shoal.agent.token import HttpToken
from shoal.cluster import Cluster
from shoal.config import ClusterConfig, PartitionStrategy
from shoal.errors import BindError, ClosedError, ConfigError, MissingExtraError
from shoal.events import LeaveRequested
from shoal.leasing import Leasing
from shoal.net.loops import run
from shoal.store.lease import SqliteLease
from shoal.subscription import Subscription
from shoal.types import Address, Readiness

try:
    import uvicorn
except ImportError as error:
    raise MissingExtraError("the agent", "http") from error

__all__ = ["DEFAULT_GRACE", "run_agent"]

DEFAULT_GRACE: Final = 1.0
"""Seconds between a draining member's word and its goodbye: for work that peers gave it before they heard."""

_SHUTDOWN_PATIENCE: Final = 1
"""Seconds that requests under way get at the end. Event streams end by themselves, unless nobody reads them."""
_MAX_CONNECTIONS: Final = 256

_log = logging.getLogger("shoal.agent")


def run_agent(
    config: ClusterConfig,
    http: Address | None,
    *,
    token: HttpToken | None = None,
    allow_remote: bool = False,
    grace: float = DEFAULT_GRACE,
    lease_file: str | None = None,
) -> bool:
    """Run a node until it is asked to end by SIGTERM, SIGINT or its API; blocks, in the main thread.

    `http` is where the API listens; port 0 takes any free one, and None means no API. Requests must show `token`, if
    there is one; an address that other machines can reach needs it, or `allow_remote`. Asked to end, the node drains,
    waits for `grace` seconds if it has company, and leaves. `lease_file` is where the partition strategy `lease`, and
    no other, finds its lease. Returns whether it said goodbye, rather than being told to end at once. Raises
    `BindError`, `ConfigError` or `ResolutionError` when it cannot start.
    """
    lease = _lease_in(lease_file, config)
    if http is None:
        return run(_run(config, None, grace, lease=lease))
    if not (http.is_loopback or token or allow_remote):
        raise ConfigError(
            "http",
            str(http),
            "whoever reaches this address could steer the node; give --http-token-file, listen on 127.0.0.1 or [::1], "
            "or add --http-allow-remote",
        )
    with _listen(http) as sock:
        return run(_run(config, sock, grace, token, lease))


def _lease_in(path: str | None, config: ClusterConfig) -> SqliteLease | None:
    strategy = config.partition_strategy
    if path is None and strategy is PartitionStrategy.LEASE:
        raise ConfigError(
            "partition_strategy",
            strategy.value,
            "needs a lease; say where it is with --lease-file FILE, on a disk of all",
        )
    if path is not None and strategy is not PartitionStrategy.LEASE:
        raise ConfigError(
            "--lease-file",
            path,
            f"is for the partition strategy 'lease', not {strategy.value!r}; leave one of them out",
        )
    return None if path is None else SqliteLease(path, config.cluster)


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server(address, family=family)
    except OSError as error:
        cause = "the port is in use" if error.errno == errno.EADDRINUSE else _cause(error)
        raise BindError(
            f"cannot serve HTTP on {address}: {cause}; choose another address with --http HOST:PORT, or --http none"
        ) from error


def _cause(error: OSError) -> str:
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno).lower()


async def _run(
    config: ClusterConfig,
    sock: socket.socket | None,
    grace: float,
    token: HttpToken | None = None,
    lease: SqliteLease | None = None,
) -> bool:
    # An agent is of use before a seed answers: start() shall not wait for one.
    cluster = Cluster(config, join_timeout=0)
    stop = StopRequest()
    with stop.on_signals(), cluster.events() as events:
        try:
            await cluster.start()
            address = None if sock is None else Address(*sock.getsockname()[:2])
            _report_start(cluster, address)
            async with _leasing(cluster, lease), asyncio.TaskGroup() as tasks:
                tasks.create_task(_follow(events, EventLog(cluster.now), stop))
                http = None
                if sock is not None and address is not None:
                    http = _http_server(cluster, address, stop, token)
                    tasks.create_task(http.serve([sock]))
                await stop.asked.wait()
                has_left = await _retire(cluster, stop, grace)
                await cluster.close()  # ends the event streams, and so lets the API end
                if http is not None:
                    # What it would complain of from here on are requests that the end cuts off.
                    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
                    http.should_exit = True
                    http.force_exit = not has_left
        finally:
            await cluster.close()
    _log.info("the agent has ended", extra={"event": "agent_stopped", "has_left": has_left})
    return has_left


@contextlib.asynccontextmanager
async def _leasing(cluster: Cluster, lease: SqliteLease | None) -> AsyncIterator[None]:
    if lease is None:
        yield
        return
    try:
        await asyncio.to_thread(lease.check)
    except OSError as error:  # The disk may come back before a partition does.
        _log.warning("%s; until then this node stands down in a partition", error, extra={"event": "lease_failed"})
    async with Leasing(cluster, lease):
        yield


class _HttpServer(uvicorn.Server):
    """Leaves signals to the agent, which has more to end than HTTP."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _http_server(cluster: Cluster, address: Address, stop: StopRequest, token: HttpToken | None) -> _HttpServer:
    app = create_app(cluster, trusted_host=only_hosts_of(address), token=token, on_leave=stop.asked.set)
    settings = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="off",
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_graceful_shutdown=_SHUTDOWN_PATIENCE,
    )
    return _HttpServer(settings)


async def _follow(events: Subscription, log: EventLog, stop: StopRequest) -> None:
    async for event in events:
        log.write(event)
        if isinstance(event, LeaveRequested):
            stop.asked.set()


def _report_start(cluster: Cluster, http: Address | None) -> None:
    local = cluster.local
    _log.info(
        "%s gossips on %s%s",
        local.name,
        local.address,
        "" if http is None else f" and serves http://{http}",
        extra={
            "event": "agent_started",
            "cluster": cluster.config.cluster,
            "member": schema.Member.of(local, schema.Moment.at(cluster.now())),
            "http": None if http is None else str(http),
        },
    )


async def _retire(cluster: Cluster, stop: StopRequest, grace: float) -> bool:
    """Drain, then say goodbye; returns whether that has spread before somebody urged the end."""
    _log.info("draining, then leaving; ask again to end at once", extra={"event": "agent_leaving"})
    leaving = asyncio.ensure_future(_drain_and_leave(cluster, grace))
    urged = asyncio.ensure_future(stop.urged.wait())
    try:
        done, _ = await asyncio.wait({leaving, urged}, return_when=asyncio.FIRST_COMPLETED)
        if leaving in done:
            leaving.result()
        return leaving in done
    finally:
        leaving.cancel()
        urged.cancel()


async def _drain_and_leave(cluster: Cluster, grace: float) -> None:
    with contextlib.suppress(ClosedError):  # Asked to leave through the API, it has begun to say goodbye already.
        await cluster.drain()
        if len(cluster.members(*Readiness)) > 1:
            await asyncio.sleep(grace)
    await cluster.leave()
