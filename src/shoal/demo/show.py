"""One whole demo: sets the stage, plays it, tells how it went, and leaves no process behind."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from types import FrameType

import msgspec
from rich.console import Console

from shoal.config import Profile
from shoal.demo.acts import script
from shoal.demo.director import Director
from shoal.demo.processes import CAN_FREEZE, AgentPool
from shoal.demo.reporter import PlainReporter, Reporter, Stage
from shoal.demo.screen import ScreenReporter
from shoal.demo.summary import print_summary, report_of
from shoal.demo.timeline import Timeline

__all__ = ["Settings", "run"]

_PLAIN_WIDTH = 110
"""Columns of the summary where no terminal sets them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the audience can choose."""

    nodes: int = 5
    """How many agents, from 3."""
    profile: Profile = Profile.LOCAL
    keep: bool = False
    """Leave the cluster running at the end, until a signal."""
    as_json: bool = False
    """Print a report in JSON on standard output; everything else goes to standard error then."""


def run(settings: Settings) -> int:
    """Run the demo; returns the exit status: 0 when everything announced was observed, else 1, or 128 + signal.

    Blocks, in the main thread. Raises `DemoError` when an agent cannot be started, or ends or falls silent unasked, and
    `OSError` when what it prints cannot be written any more.
    """
    try:
        return asyncio.run(_Show(settings).run())
    except ExceptionGroup as group:
        raise _first_of(group) from None


class _Show:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._out = sys.stderr if settings.as_json else sys.stdout
        if isinstance(self._out, TextIOWrapper):
            self._out.reconfigure(errors="replace")  # some terminals lack the marks of the screen
        self._status: int | None = None

    async def run(self) -> int:
        names = [f"node-{number}" for number in range(1, self._settings.nodes + 1)]
        acts = script(names, can_freeze=CAN_FREEZE)
        with _cancel_on_signals() as caught:
            try:
                async with AgentPool(self._settings.profile) as pool:
                    await self._play(Stage(names, acts, self._settings.profile, pool, Timeline()))
            except asyncio.CancelledError:
                if not caught:
                    raise
        return 128 + caught[0] if self._status is None else self._status

    async def _play(self, stage: Stage) -> None:
        reporter = self._reporter(stage)
        async with Director(stage, reporter) as director:
            with reporter:
                if not CAN_FREEZE:
                    reporter.note("this system cannot stop a process and let it go on: freeze and resume are left out")
                outcome = await director.play()
            print_summary(outcome, stage, self._console())
            if self._settings.as_json:
                print(msgspec.json.encode(report_of(outcome, stage)).decode(), flush=True)
            self._status = 0 if outcome.is_success else 1
            if self._settings.keep and stage.pool.running():
                print(_invitation(stage), file=self._out, flush=True)
                await director.linger(PlainReporter(stage, self._out))

    def _reporter(self, stage: Stage) -> Reporter:
        console = self._console()
        if self._out.isatty() and not console.is_dumb_terminal:
            return ScreenReporter(stage, console)
        return PlainReporter(stage, self._out)

    def _console(self) -> Console:
        return Console(file=self._out, highlight=False, width=None if self._out.isatty() else _PLAIN_WIDTH)


def _invitation(stage: Stage) -> str:
    """How to go on from another terminal."""
    agent = stage.pool.running()[0]
    shoal = sys.argv[0] if Path(sys.argv[0]).stem == "shoal" else f"{sys.executable} -m shoal"
    return f"""
The cluster goes on until Ctrl-C. In another terminal:

  {shoal} members --agent {agent.http}
  {shoal} events --agent {agent.http}
  {shoal} agent --name visitor --profile {stage.profile} --bind 127.0.0.1:0 --http none --join {agent.gossip}
  kill -9 {agent.pid}
"""


@contextmanager
def _cancel_on_signals() -> Iterator[list[int]]:
    """While open, the first signal that asks for the end cancels the current task; yields what was caught."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    caught: list[int] = []

    def catch(number: int, _frame: FrameType | None) -> None:
        caught.append(number)
        if len(caught) == 1:  # further ones shall not disturb the cleaning up, which is quick and bounded
            loop.call_soon_threadsafe(task.cancel)

    # signal.signal rather than loop.add_signal_handler, which Windows' loops lack.
    before = {number: signal.signal(number, catch) for number in _signals()}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _signals() -> list[signal.Signals]:
    """Those that ask for the end: the keyboard, the system, and the terminal unless `nohup` told it not to."""
    signals = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    return signals


def _first_of(group: ExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    return _first_of(error) if isinstance(error, ExceptionGroup) else error
