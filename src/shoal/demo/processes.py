"""The agents of a demo as processes: started, killed, frozen and resumed; and all ended, whatever happens."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from enum import Enum
from types import TracebackType
from typing import Any, Literal, Self

import msgspec

from shoal.agent import schema
from shoal.config import ENVIRONMENT_PREFIX, Profile
from shoal.demo.failure import DemoError
from shoal.demo.http import fetch
from shoal.types import Address

__all__ = ["CAN_FREEZE", "Agent", "AgentPool", "Condition"]

CAN_FREEZE = hasattr(signal, "SIGSTOP")
"""Whether this system can stop a process and let it go on: POSIX can, Windows cannot."""

_START_TIMEOUT = 60.0
"""Seconds for an agent to start; a busy machine needs some for the interpreter and its imports alone."""
_END_TIMEOUT = 10.0
"""Seconds for a process to be gone after SIGKILL, or after its goodbye."""
_PR_SET_PDEATHSIG = 1
"""Linux' prctl(2): the signal that a process gets when its parent ends."""
_GRACE = 1.0
"""Seconds for news of a process's end to arrive after other signs of it."""


class Condition(Enum):
    """What the demo has done with an agent's process."""

    STARTING = "starting"
    RUNNING = "running"
    FROZEN = "frozen"
    KILLED = "killed"
    LEAVING = "leaving"
    LEFT = "left"


class _Line(msgspec.Struct, frozen=True):
    """What is needed of any line that an agent logs."""

    message: str


class _Started(msgspec.Struct, frozen=True):
    """What is needed of the line that an agent logs when it serves."""

    event: Literal["agent_started"]
    http: str
    member: schema.Member


_STARTED = msgspec.json.Decoder(_Started)


class Agent:
    """One `shoal agent` process."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.condition = Condition.STARTING
        self._process = process
        self._last_line = ""
        self._started: asyncio.Future[_Started] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read_log(), name=f"log of {name}")

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def http(self) -> Address:
        """Where its API is served; known once it is ready."""
        return Address.parse(self._started.result().http)

    @property
    def gossip(self) -> Address:
        """Where its peers reach it; known once it is ready."""
        return Address.parse(self._started.result().member.address)

    @property
    def is_expected_to_answer(self) -> bool:
        """Whether its silence would be a fault."""
        return self.condition in {Condition.STARTING, Condition.RUNNING}

    async def ready(self) -> None:
        """Wait until it serves; raises `DemoError` when it ends before, or does not get there in time."""
        signs: set[asyncio.Future[Any]] = {self._started, self._reading}
        await asyncio.wait(signs, timeout=_START_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        if not self._started.done():
            raise DemoError(f"{self.name} could not be started: {await self.last_words()}")
        self.condition = Condition.RUNNING

    async def leave(self) -> None:
        """Ask it to say goodbye and wait until it has ended by itself; raises `DemoError` when it does not."""
        self.condition = Condition.LEAVING
        try:
            await fetch(self.http, "/v1/leave", "POST")
        except OSError as error:
            raise DemoError(f"{self.name} could not be asked to leave: {error}; {await self.last_words()}") from error
        if await self._exit_code(_END_TIMEOUT) != 0:
            raise DemoError(f"{self.name} did not end well after its goodbye: {await self.last_words()}")
        self.condition = Condition.LEFT

    async def last_words(self) -> str:
        """How the process ended, if it has, and what it logged last."""
        code = await self._exit_code(_GRACE)
        if code is None:
            state = "its process is there"
        else:
            state = f"its process ended with {_describe_exit(code)}"
            await asyncio.wait({self._reading}, timeout=_GRACE)
        return f"{state}; its last line: {_message_of(self._last_line)}" if self._last_line else state

    def kill(self) -> None:
        """End the process at once, frozen or not."""
        self.condition = Condition.KILLED
        with suppress(ProcessLookupError):
            self._process.kill()

    async def freeze(self) -> None:
        """Stop the process until `resume`; only where `CAN_FREEZE`. Raises `DemoError` when it has ended."""
        await self._send(signal.SIGSTOP)
        self.condition = Condition.FROZEN

    async def resume(self) -> None:
        """Let the frozen process go on. Raises `DemoError` when it has ended."""
        await self._send(signal.SIGCONT)
        self.condition = Condition.RUNNING

    async def reap(self) -> None:
        """Wait, for a bounded time, until the killed process and its log are gone."""
        await self._exit_code(_END_TIMEOUT)
        self._reading.cancel()
        await asyncio.wait({self._reading})

    async def _send(self, number: signal.Signals) -> None:
        try:
            self._process.send_signal(number)
        except ProcessLookupError:
            raise DemoError(f"{self.name} is not there for {number.name}: {await self.last_words()}") from None

    async def _exit_code(self, patience: float) -> int | None:
        try:
            async with asyncio.timeout(patience):
                return await self._process.wait()
        except TimeoutError:
            return None

    async def _read_log(self) -> None:
        """Read to the end, so that the agent never waits for a reader; learn where it serves."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self._last_line = line.decode(errors="replace").rstrip() or self._last_line
            if not self._started.done():
                with suppress(msgspec.DecodeError):
                    self._started.set_result(_STARTED.decode(line))


class AgentPool:
    """Every agent that the demo starts. Leaving its context ends all of them, frozen ones too.

    On Linux the kernel ends them even when the demo itself is killed with SIGKILL; elsewhere that one case leaves them
    running.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._agents: dict[str, Agent] = {}
        self._former: list[Agent] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        every = [*self._former, *self._agents.values()]
        for agent in every:
            agent.kill()
        for agent in every:
            await agent.reap()

    def __getitem__(self, name: str) -> Agent:
        """The newest process of that name, ended or not."""
        return self._agents[name]

    def agents(self) -> tuple[Agent, ...]:
        """The newest process of every name."""
        return tuple(self._agents.values())

    def running(self) -> tuple[Agent, ...]:
        """Those that take part and answer."""
        return tuple(agent for agent in self.agents() if agent.condition is Condition.RUNNING)

    async def start(self, name: str, seeds: Iterable[Address]) -> Agent:
        """Start an agent, in the place of an ended one of that name, and wait until it serves.

        Raises `DemoError` when it does not get there.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command(name, seeds),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=_environment(os.environ),
                preexec_fn=_tie_to_this_process(),
            )
        except OSError as error:
            raise DemoError(f"{name} could not be started: {error}") from error
        if name in self._agents:
            self._former.append(self._agents[name])
        agent = self._agents[name] = Agent(name, process)
        await agent.ready()
        return agent

    def _command(self, name: str, seeds: Iterable[Address]) -> list[str]:
        command = [sys.executable, "-m", "shoal", "agent", "--name", name]
        command += ["--bind", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        command += ["--profile", self._profile, "--log-format", "json"]
        for seed in seeds:
            command += ["--join", str(seed)]
        return command


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The audience's own settings for agents stay out of the demo."""
    return {key: value for key, value in environ.items() if not key.startswith(ENVIRONMENT_PREFIX)}


def _tie_to_this_process() -> Callable[[], None] | None:
    """What a child does before it becomes an agent, so that it cannot outlive the demo; None where that cannot be."""
    if sys.platform != "linux":
        return None
    set_death_signal = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def tie() -> None:
        set_death_signal(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:  # it died before we could ask to be told
            os._exit(1)

    return tie


def _message_of(line: str) -> str:
    """The message of a structured line, or the line itself: a process that fails early has no log yet."""
    try:
        return msgspec.json.decode(line, type=_Line).message
    except msgspec.DecodeError:
        return line


def _describe_exit(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
