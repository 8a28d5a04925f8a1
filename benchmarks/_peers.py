"""The peers that a benchmark compares, and how each is made ready to run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks._peer_process import REPOSITORY

NAMES = (
    "shoal",
    "shoal-uvloop",
    "shoal-encrypted",
    "kinship",
    "memberlist",
    "memberlist-encrypted",
    "foca",
    "floor",
    "floor-uvloop",
)

CACHE = REPOSITORY / ".cache" / "benchmarks"
PREPARE_SECONDS = 300


class PeerMissing(Exception):
    """A peer cannot run on this machine; the message names what is missing."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer program: its name and the command that runs it, still without ``--nodes N``."""

    name: str
    command: tuple[str, ...]
    detects: bool = True
    """Whether its nodes notice when one ends."""


def prepare(name: str, kinship_python: str) -> Peer:
    """Make the peer called ``name`` ready to run; raises :class:`PeerMissing`."""
    match name:
        case "memberlist":
            return Peer(name, (str(_build_memberlist()),))
        case "memberlist-encrypted":
            return Peer(name, (str(_build_memberlist()), "--encrypt"))
        case "foca":
            return Peer(name, (str(_build_foca()),))
        case "kinship":
            return _python_peer(name, kinship_python, "kinship")
        case "shoal-encrypted":
            plain = _python_peer(name, sys.executable, "shoal", "uvloop")
            return Peer(name, (*plain.command, "--encrypt"))
        case _:
            program, _, loop = name.partition("-")
            return _python_peer(name, sys.executable, program, loop or "asyncio")


def _python_peer(name: str, python: str, program: str, loop: str = "asyncio") -> Peer:
    for module in (f"benchmarks.peers.{program}_peer", loop):
        _run([python, "-c", f"import {module}"], REPOSITORY)
    return Peer(name, (python, "-m", f"benchmarks.peers.{program}_peer", "--loop", loop), program != "floor")


def _build_memberlist() -> Path:
    go = shutil.which("go")
    if go is None:
        raise PeerMissing("there is no `go` on PATH to build it with")
    CACHE.mkdir(parents=True, exist_ok=True)
    binary = CACHE / "memberlist-peer"
    source = REPOSITORY / "benchmarks" / "peers" / "memberlist"
    _run([go, "build", "-buildvcs=false", "-trimpath", "-o", str(binary), "."], source)
    return binary


def _build_foca() -> Path:
    cargo = shutil.which("cargo")
    if cargo is None:
        raise PeerMissing("there is no `cargo` on PATH to build it with")
    source, target = REPOSITORY / "benchmarks" / "peers" / "foca", CACHE / "foca"
    _run([cargo, "build", "--release", "--locked", "--target-dir", str(target)], source)
    return target / "release" / "foca-peer"


def _run(command: Sequence[str], directory: Path) -> None:
    """Run ``command`` to its end; raises :class:`PeerMissing` with its last line if it fails."""
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=PREPARE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerMissing(str(error)) from None
    if done.returncode != 0:
        last_line = done.stderr.strip().rpartition("\n")[2]
        raise PeerMissing(f"`{' '.join(command[:3])}` failed: {last_line}")
