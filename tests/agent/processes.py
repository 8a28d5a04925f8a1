"""Real agents as processes, on loopback and free ports; each is ended with its test, whatever happens."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from secrets import token_hex
from typing import Any, TypeVar

from shoal.agent import schema
from shoal.cli.client import AgentClient
from shoal.types import Address

PATIENCE = 30.0
"""Seconds after which waiting counts as failed; far more than a busy machine needs."""

QUICK = {"SHOAL_PROBE_INTERVAL": "0.2", "SHOAL_PROBE_TIMEOUT": "0.1", "SHOAL_SUSPICION_ALPHA": "2"}
"""Settings under which a death is found within a second or two."""

CALM = {"SHOAL_PROBE_INTERVAL": "20", "SHOAL_PROBE_TIMEOUT": "10"}
"""Settings under which nobody is suspected while a test runs, however busy the machine is."""

_T = TypeVar("_T")


def wait_until(look: Callable[[], _T], what: str) -> _T:
    """The first true value of `look`."""
    deadline = time.monotonic() + PATIENCE
    while not (seen := look()):
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} seconds"
        time.sleep(0.02)
    return seen


def unused_address() -> str:
    """Where nobody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as sock:
        return str(Address(*sock.getsockname()[:2]))


def environment(**variables: str) -> dict[str, str]:
    """This process's own, without settings of shoal but these."""
    return {key: value for key, value in os.environ.items() if not key.startswith("SHOAL_")} | variables


def shoal(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `shoal` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "shoal", *arguments],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class AgentProcess:
    """`shoal agent` with its log, of which each line is an object; calm unless `variables` say otherwise."""

    def __init__(self, *options: str, **variables: str) -> None:
        command = [sys.executable, "-m", "shoal", "agent", "--log-format", "json"]
        command += ["--bind", "127.0.0.1:0", "--http", "127.0.0.1:0", "--profile", "local", *options]
        self.log: list[dict[str, Any]] = []
        self.process = subprocess.Popen(command, env=environment(**CALM | variables), stderr=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()

    @property
    def http(self) -> Address:
        return Address.parse(self.wait_for_log("agent_started")["http"])

    @property
    def gossip(self) -> str:
        return str(self.wait_for_log("agent_started")["member"]["address"])

    @property
    def client(self) -> AgentClient:
        return AgentClient(self.http)

    def lines(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.log if line.get("event") == event]

    def wait_for_log(self, event: str, **facts: object) -> dict[str, Any]:
        """The first line of that event with these facts."""

        def look() -> dict[str, Any] | None:
            for line in self.lines(event):
                if facts.items() <= line.items():
                    return line
            if self.process.poll() is not None and not self._reader.is_alive():
                raise AssertionError(f"the agent has ended without {event}: {self.log}")
            return None

        found = wait_until(look, f"{event} {facts} in the log")
        assert found is not None
        return found

    def wait_for_state(self, name: str, state: schema.State) -> schema.Member:
        """Until this agent holds the member of that name in that state."""

        def look() -> schema.Member | None:
            return next((m for m in self.client.members() if (m.name, m.state) == (name, state)), None)

        found = wait_until(look, f"{name} is {state}")
        assert found is not None
        return found

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit code; the log is complete then."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def kill(self) -> None:
        self.process.kill()
        self.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.log.append({"message": line})


class Agents:
    """Starts agents, and ends them all.

    They are a cluster of their own: agents of other tests, which run at the same time and go on trying the ports of
    agents that are gone, may find one of these there.
    """

    def __init__(self) -> None:
        self._started: list[AgentProcess] = []
        self._cluster = f"test-{token_hex(4)}"

    def start(self, *options: str, **variables: str) -> AgentProcess:
        agent = AgentProcess(*options, **{"SHOAL_CLUSTER": self._cluster, **variables})
        self._started.append(agent)
        return agent

    def pair(self, **variables: str) -> tuple[AgentProcess, AgentProcess]:
        """Two that see each other, `a` and `b`."""
        a = self.start("--name", "a", "--tag", "role=worker", **variables)
        b = self.start("--name", "b", "--join", a.gossip, **variables)
        a.wait_for_state("b", "alive")
        b.wait_for_state("a", "alive")
        return a, b

    def kill_all(self) -> None:
        for agent in self._started:
            agent.kill()


@contextmanager
def running_agents() -> Iterator[Agents]:
    agents = Agents()
    try:
        yield agents
    finally:
        agents.kill_all()
