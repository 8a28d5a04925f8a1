"""The partition strategy `lease`, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.store.lease import SqliteLease
from tests.agent.processes import QUICK, Agents, shoal, wait_until


@pytest.mark.parametrize(("held_by_others", "ruling"), [(False, "stay"), (True, "stand-down")])
def test_an_agent_asks_for_the_lease_in_its_file(
    agents: Agents, tmp_path: Path, held_by_others: bool, ruling: str
) -> None:
    path = tmp_path / "lease"
    a = agents.start("--name", "a", "--lease-file", str(path), "--cluster", "leased", **QUICK)
    others = [agents.start("--name", name, "--cluster", "leased", "--join", a.gossip, **QUICK) for name in "bc"]
    for name in "bc":
        a.wait_for_state(name, "alive")
    if held_by_others:
        assert SqliteLease(path, "leased").acquire("the other side")
    for other in others:
        other.kill()
    a.wait_for_log("partition_decided")
    wait_until(lambda: len(a.lines("partition_decided")) == 2, "asked, and told")
    assert [line["decision"]["ruling"] for line in a.lines("partition_decided")] == ["ask-lease", ruling]
    assert SqliteLease(path, "leased").acquire("the other side") is held_by_others


def test_the_strategy_without_a_lease_is_one_clear_error() -> None:
    done = shoal("agent", "--bind", "127.0.0.1:0", "--http", "none", SHOAL_PARTITION_STRATEGY="lease")
    assert done.returncode == 1
    assert done.stderr == (
        "Error: partition_strategy = 'lease': needs a lease; say where it is with --lease-file FILE, on a disk of all\n"
    )


def test_a_lease_without_the_strategy_is_one_clear_error(tmp_path: Path) -> None:
    done = shoal("agent", "--lease-file", str(tmp_path / "lease"), SHOAL_PARTITION_STRATEGY="down-all")
    assert done.returncode == 1
    assert "is for the partition strategy 'lease', not 'down-all'; leave one of them out" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_file_that_cannot_be_used_now_is_a_warning(agents: Agents, tmp_path: Path) -> None:
    a = agents.start("--name", "a", SHOAL_LEASE_FILE=str(tmp_path / "missing" / "lease"))
    assert "check its path and rights" in a.wait_for_log("lease_failed")["message"]
    assert a.client.info().health.running
