"""The demo as a user starts it: real processes, watched from outside."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PLAY = "from shoal.cli import main; main()"
SOON = 20.0
"""Seconds, a bound for what is nearly immediate."""


def started(*arguments: str, play: str = PLAY) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", play, "demo", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def demos() -> Iterator[list[subprocess.Popen[str]]]:
    """Demos that are ended whatever the test does; with them their agents."""
    running: list[subprocess.Popen[str]] = []
    yield running
    for demo in running:
        demo.terminate()
        demo.communicate(timeout=SOON)


def read_until(demo: subprocess.Popen[str], text: str) -> str:
    """What it prints up to and including the line with `text`."""
    assert demo.stdout is not None
    lines = []
    for line in demo.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    pytest.fail(f"the demo ended without {text!r}: {''.join(lines)}")


def pids_in(output: str) -> list[int]:
    return [int(pid) for pid in re.findall(r"pid (\d+)", output)]


def is_there(pid: int) -> bool:
    """Whether the process exists and is no zombie that waits for a new parent to take note."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # gone meanwhile, or a system without /proc
        return not Path("/proc/self").exists()


def assert_all_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + SOON
    while any(map(is_there, pids)):
        assert time.monotonic() < deadline, f"still there: {[pid for pid in pids if is_there(pid)]}"
        time.sleep(0.05)


def test_without_a_terminal_it_tells_all_acts_and_leaves_no_process(demos: list[subprocess.Popen[str]]) -> None:
    demos.append(started("--nodes", "4", "--json"))
    out, errors = demos[0].communicate(timeout=110)
    assert demos[0].returncode == 0, errors
    report = json.loads(out)
    assert report["success"] is True
    assert [act["title"] for act in report["acts"]] == ["form", "kill", "leave", "freeze", "resume", "restart"]
    assert all(act["observed"] and act["delays"] for act in report["acts"])
    assert sorted(report["members"]) == ["node-1", "node-2", "node-4"]
    assert "Everything that was announced was observed." in errors
    assert "\x1b" not in errors
    pids = pids_in(errors)
    assert len(pids) == 5
    assert_all_gone(pids)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be frozen here")
def test_interrupted_half_way_it_ends_every_process_the_frozen_one_too(demos: list[subprocess.Popen[str]]) -> None:
    demos.append(started("--nodes", "4"))
    pids = pids_in(read_until(demos[0], "node-4 suspected"))
    demos[0].send_signal(signal.SIGINT)
    demos[0].communicate(timeout=SOON)
    assert demos[0].returncode == 128 + signal.SIGINT
    assert len(pids) == 4
    assert_all_gone(pids)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_killed_outright_it_takes_its_agents_along(demos: list[subprocess.Popen[str]]) -> None:
    demos.append(started("--nodes", "3"))
    pids = pids_in(read_until(demos[0], "observed: complete"))
    demos[0].kill()
    demos[0].communicate(timeout=SOON)
    assert len(pids) == 3
    assert_all_gone(pids)


def test_when_nobody_reads_any_more_it_ends_and_leaves_no_process(demos: list[subprocess.Popen[str]]) -> None:
    demos.append(started("--nodes", "3"))
    pids = pids_in(read_until(demos[0], "observed: complete"))
    assert demos[0].stdout is not None
    demos[0].stdout.close()
    assert demos[0].wait(timeout=SOON) == 1
    assert_all_gone(pids)


def test_an_agent_that_cannot_be_started_is_a_clear_failure(demos: list[subprocess.Popen[str]]) -> None:
    broken = "import sys; sys.executable = '/nowhere/python'; " + PLAY
    demos.append(started(play=broken))
    _, errors = demos[0].communicate(timeout=60)
    assert demos[0].returncode == 1
    assert re.fullmatch(r"Error: node-1 could not be started: .*/nowhere/python.*\n", errors)


def test_an_agent_that_gives_up_at_once_is_quoted(demos: list[subprocess.Popen[str]]) -> None:
    broken = "from shoal.demo.processes import AgentPool; old = AgentPool._command; "
    broken += "AgentPool._command = lambda *a: [*old(*a), '--profile', 'moon']; " + PLAY
    demos.append(started(play=broken))
    _, errors = demos[0].communicate(timeout=60)
    assert demos[0].returncode == 1
    assert errors.startswith("Error: node-1 could not be started: its process ended with exit code 2; its last line: ")
    assert "'moon'" in errors


def test_a_missed_observation_is_named_and_fails_the_demo(demos: list[subprocess.Popen[str]]) -> None:
    """With the patience of a hundredth of a second no death is noticed in time."""
    hasty = "import shoal.demo.director as director; director.patience_for = lambda *_: 0.01; " + PLAY
    demos.append(started("--nodes", "3", play=hasty))
    out, _ = demos[0].communicate(timeout=60)
    assert demos[0].returncode == 1
    assert re.search(r"Not as announced: \w+: node-\d did not report node-\d", out)
    assert "Not played any more:" in out
    assert_all_gone(pids_in(out))
