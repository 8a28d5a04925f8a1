"""A real process that is stopped for ten seconds is not taken for dead; one that is killed is, within seconds."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.agent.processes import AgentProcess, wait_until

LIVELY = {"SHOAL_PROBE_INTERVAL": "1", "SHOAL_PROBE_TIMEOUT": "0.5", "SHOAL_STALL_TOLERANCE": "60"}
"""The timings of the LAN profile; a tolerance that outlasts the stop even on a busy machine."""
STOPPED = 10.0


@pytest.fixture
def trio() -> Iterator[list[AgentProcess]]:
    agents = [AgentProcess("--name", "a", **LIVELY)]
    try:
        agents += [AgentProcess("--name", name, "--join", agents[0].gossip, **LIVELY) for name in "bc"]
        for agent in agents:
            for name in "abc":
                agent.wait_for_state(name, "alive")
        yield agents
    finally:
        for agent in agents:
            agent.process.send_signal(signal.SIGCONT)
            agent.kill()


def test_a_stopped_process_is_suspect_and_comes_back_and_a_killed_one_is_dead(trio: list[AgentProcess]) -> None:
    a, b, c = trio

    c.signal(signal.SIGSTOP)
    for agent in (a, b):
        agent.wait_for_log("member_stalled")
    time.sleep(STOPPED)
    assert {agent.client.member("c").state for agent in (a, b)} == {"suspect"}
    c.signal(signal.SIGCONT)
    for agent in (a, b):
        agent.wait_for_log("member_recovered")
        assert not agent.lines("member_failed")

    c.signal(signal.SIGKILL)
    wait_until(lambda: all(agent.lines("member_failed") for agent in (a, b)), "both hold c dead")
    assert all(len(agent.lines("member_stalled")) == 1 for agent in (a, b)), "of which nobody thought it stood still"
