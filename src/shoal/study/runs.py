"""Runs experiments over an executor, and keeps what is finished, so that an interrupted study goes on where it was."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Protocol, TextIO, TypeAlias

import msgspec

import shoal
from shoal.errors import ShoalError
from shoal.study.kill import KillCell, KillOutcome, QuietCell, QuietOutcome, run_kill, run_quiet
from shoal.study.lifeguard import Cell, IntervalOutcome, ThresholdOutcome, run_interval, run_threshold
from shoal.study.scale import ScaleCell, ScaleOutcome, run_scale

__all__ = ["AnyCell", "Bar", "Outcome", "Progress", "Results", "Run", "collect", "perform"]

AnyCell: TypeAlias = Cell | KillCell | QuietCell | ScaleCell
Outcome: TypeAlias = IntervalOutcome | ThresholdOutcome | KillOutcome | QuietOutcome | ScaleOutcome


@dataclass(frozen=True, slots=True)
class Run:
    """One configuration in one cell."""

    configuration: str
    cell: AnyCell

    @property
    def key(self) -> str:
        """Names the run and the code that it runs, settings included: after a change of either it is done anew."""
        return f"{self.configuration}|{self.cell!r}|{_code()}"


_EXPERIMENTS: Final = ("configurations.py", "kill.py", "lifeguard.py", "processes.py", "scale.py")

Results: TypeAlias = dict[Run, Outcome]


@cache
def _code() -> str:
    """A digest of the sources that decide what comes out of a run."""
    package = Path(shoal.__file__).parent
    sources = [package / "config.py", *(package / "study" / name for name in _EXPERIMENTS)]
    for part in ("swim", "state", "wire", "sim"):
        sources += (package / part).rglob("*.py")
    digest = sha256()
    for source in sorted(sources):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of the cache."""

    run: str
    outcome: Any


class Progress(Protocol):
    """Told after each finished run."""

    def __call__(self, done: int, total: int, run: Run | None, /) -> None:
        """`done` of `total`; `run` is None when the finished ones were found in the cache."""
        ...


def perform(run: Run) -> Outcome:
    """Do one experiment; nothing but its run decides what comes out."""
    match run.cell:
        case Cell(normal=0.0):
            return run_threshold(run.configuration, run.cell)
        case Cell():
            return run_interval(run.configuration, run.cell)
        case KillCell():
            return run_kill(run.configuration, run.cell)
        case QuietCell():
            return run_quiet(run.configuration, run.cell)
        case ScaleCell():
            return run_scale(run.configuration, run.cell)


def collect(runs: Iterable[Run], executor: Executor, cache: Path, progress: Progress) -> Results:
    """Do all runs that `cache` does not hold yet, and add them to it as they finish.

    Raises `ShoalError` for a cache that holds something else.
    """
    wanted = list(dict.fromkeys(runs))
    known = _read(cache)
    results: Results = {run: _outcome(run, known[run.key]) for run in wanted if run.key in known}
    progress(len(results), len(wanted), None)
    cache.parent.mkdir(parents=True, exist_ok=True)
    with cache.open("a", encoding="utf-8") as file:
        pending: dict[Future[Outcome], Run] = {
            executor.submit(perform, run): run for run in wanted if run not in results
        }
        try:
            for future in as_completed(pending):
                run = pending[future]
                results[run] = future.result()
                _write(file, run, results[run])
                progress(len(results), len(wanted), run)
        finally:
            for future in pending:
                future.cancel()
    return results


def _read(cache: Path) -> dict[str, Any]:
    if not cache.exists():
        return {}
    whole, _, cut_off = cache.read_text(encoding="utf-8").rpartition("\n")
    if cut_off:  # by an interruption; what is appended must not continue it
        cache.write_text(whole + "\n" if whole else "", encoding="utf-8")
    known: dict[str, Any] = {}
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            entry = msgspec.json.decode(line, type=_Entry)
        except msgspec.DecodeError as error:
            raise ShoalError(f"{cache}, line {number}: it is no result of a run ({error}); remove the file") from None
        known[entry.run] = entry.outcome
    return known


def _write(file: TextIO, run: Run, outcome: Outcome) -> None:
    file.write(json.dumps(asdict(_Entry(run.key, asdict(outcome)))) + "\n")
    file.flush()


def _outcome(run: Run, plain: Any) -> Outcome:
    match run.cell:
        case Cell(normal=0.0):
            return msgspec.convert(plain, ThresholdOutcome)
        case Cell():
            return msgspec.convert(plain, IntervalOutcome)
        case KillCell():
            return msgspec.convert(plain, KillOutcome)
        case QuietCell():
            return msgspec.convert(plain, QuietOutcome)
        case ScaleCell():
            return msgspec.convert(plain, ScaleOutcome)


class Bar:
    """A line of progress with the time left, on a terminal or every few seconds in a log."""

    _PAUSE: Final = 5.0

    def __init__(self, label: str, stream: TextIO = sys.stderr, clock: Callable[[], float] = time.monotonic) -> None:
        self._label = label
        self._stream = stream
        self._clock = clock
        self._started = clock()
        self._cached = 0
        self._last = 0.0

    def __call__(self, done: int, total: int, run: Run | None, /) -> None:
        """Show how far it is."""
        now = self._clock()
        if run is None:
            self._started, self._cached = now, done
        fresh = done - self._cached
        left = f", {(now - self._started) / fresh * (total - done):.0f} s left" if fresh else ""
        is_terminal = self._stream.isatty()
        if is_terminal or done == total or now - self._last > self._PAUSE:
            self._last = now
            before, after = ("\r", "\n" if done == total else "   ") if is_terminal else ("", "\n")
            self._stream.write(f"{before}{self._label}: {done} of {total} runs{left}{after}")
            self._stream.flush()
