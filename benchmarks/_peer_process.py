"""One running peer program, and what the kernel counts of it. Linux only."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

REPOSITORY = Path(__file__).resolve().parents[1]
STOP_SECONDS = 3.0

_CPUCLOCK_SCHED = 2


class PeerError(Exception):
    """A peer program could not be measured; the message is one line that says why."""


@dataclass(frozen=True, slots=True)
class Formed:
    """The line that a peer program prints once every view is complete."""

    seconds: float
    name: str
    version: str
    encrypted: bool
    profile: str
    loop: str = ""
    """The event loop of a peer in Python."""


@dataclass(frozen=True, slots=True)
class Crash:
    """What became of one node's end: seconds until the first and the last of the others held it dead."""

    first_s: float | None
    all_know_s: float | None
    false_deaths: int


@dataclass(frozen=True, slots=True)
class Restored:
    """The ended node is back in every view."""

    seconds: float


_Line = TypeVar("_Line", Formed, Crash, Restored)


@dataclass(frozen=True, slots=True)
class Reading:
    """The kernel's counters at one moment (``at``: monotonic seconds).

    The datagrams and bytes are those of the network namespace that the process lives in.
    """

    at: float
    cpu_seconds: float
    resident_kib: int
    datagrams_in: int
    datagrams_out: int
    bytes_out: int


class PeerProcess:
    """A started peer program. Made by :func:`running`, which also ends it."""

    def __init__(self, process: subprocess.Popen[str], stderr: IO[str]) -> None:
        self._process = process
        self._stderr = stderr

    def wait_formed(self, timeout: float) -> Formed:
        """Wait up to ``timeout`` seconds for the ``formed`` line; raises :class:`PeerError`."""
        return self._line(Formed, "formed", timeout, "not every view was complete")

    def crash(self, timeout: float) -> Crash:
        """Let one node end, and wait for what the others made of it; raises :class:`PeerError`."""
        self._command("crash")
        return self._line(Crash, "crash", timeout, "the end of a node was not reported")

    def restart(self, timeout: float) -> None:
        """Start that node again and wait until every view is complete; raises :class:`PeerError`."""
        self._command("restart")
        self._line(Restored, "restored", timeout, "a node that was started again was not in every view")

    def _command(self, command: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{command}\n")
            self._process.stdin.flush()
        except OSError:
            raise PeerError(f"ended before it could {command}: {self._last_words()}") from None

    def _line(self, kind: type[_Line], event: str, timeout: float, failure: str) -> _Line:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], timeout)[0]:
            raise PeerError(f"{failure} within {timeout:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(f"{failure}, because it ended: {self._last_words()}")
        try:
            message = json.loads(line)
            if message.pop("event") == event:
                return kind(**message)
        except (ValueError, TypeError, LookupError, AttributeError):
            pass
        raise PeerError(f"printed {line!r}, which is no {event} line")

    def read(self) -> Reading:
        """Read the counters now; raises :class:`PeerError` when the process has ended."""
        proc = Path(f"/proc/{self._process.pid}")
        try:
            udp = _udp_counters((proc / "net/snmp").read_text())
            return Reading(
                at=time.monotonic(),
                cpu_seconds=_cpu_seconds(self._process.pid),
                resident_kib=_resident_kib((proc / "status").read_text()),
                datagrams_in=udp["InDatagrams"],
                datagrams_out=udp["OutDatagrams"],
                bytes_out=_loopback_bytes((proc / "net/dev").read_text()),
            )
        except (OSError, LookupError, ValueError):
            raise PeerError(f"ended while it was measured: {self._last_words()}") from None

    def stop(self) -> None:
        """Close the program's input, which ends it, and kill it if it does not end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()

    def _last_words(self) -> str:
        self._stderr.seek(0)
        lines = [line.strip() for line in self._stderr if line.strip()]
        return lines[-1] if lines else "it printed no error"


@contextlib.contextmanager
def running(command: Sequence[str]) -> Iterator[PeerProcess]:
    """Run a peer program and end it on the way out.

    Its standard input is a pipe from here: should this process be killed, the program ends itself.
    """
    with (
        tempfile.TemporaryFile("w+", errors="replace") as stderr,
        subprocess.Popen(
            command,
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,  # Ctrl-C reaches the benchmark alone, which then stops it
        ) as process,
    ):
        peer = PeerProcess(process, stderr)
        try:
            yield peer
        finally:
            peer.stop()


def in_own_network(command: Sequence[str], loss: float = 0.0) -> list[str]:
    """The command that runs ``command`` in a network namespace with its own loopback only, which loses packets."""
    return [sys.executable, "-m", "benchmarks._netns", "--loss", str(loss), *command]


def own_network_refusal(loss: float = 0.0) -> str | None:
    """Why processes cannot have such a network namespace here; ``None`` if they can."""
    trial = subprocess.run(
        in_own_network(["true"], loss),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return trial.stderr.strip() or None if trial.returncode else None


def _cpu_seconds(pid: int) -> float:
    # The CPU clock of a process: utime + stime of all its threads, ended ones too, as in
    # /proc/PID/stat, but in nanoseconds instead of ticks of 10 ms. See clock_getcpuclockid(3).
    if sys.platform != "win32":
        return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)
    raise OSError("Windows has no CPU clock of another process")


def _resident_kib(status: str) -> int:
    return int(status.partition("VmRSS:")[2].split()[0])


def _udp_counters(snmp: str) -> dict[str, int]:
    names, values = (line.split()[1:] for line in snmp.splitlines() if line.startswith("Udp:"))
    return dict(zip(names, map(int, values), strict=True))


def _loopback_bytes(dev: str) -> int:
    # Eight receive columns precede the transmitted bytes.
    return int(dev.partition("lo:")[2].split()[8])
