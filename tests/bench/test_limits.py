import sys
from pathlib import Path

import pytest

from shoal.bench import limits
from shoal.bench.plan import BenchError
from tests.bench.plans import plan

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits are read as Linux shows them")


@pytest.fixture
def hard_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _which: (1024, 4096))


@pytest.mark.usefixtures("hard_limit")
def test_too_many_files_are_refused_with_the_number_the_limit_and_the_remedy() -> None:
    with pytest.raises(BenchError) as caught:
        limits.check(plan(nodes=5000, processes=2))

    assert str(caught.value) == (
        "2,500 nodes in a process need 6,024 open files, the hard limit is 4,096: use --processes 4, or raise it (as "
        "root: ulimit -Hn 6024)"
    )


@pytest.mark.usefixtures("hard_limit")
def test_as_many_processes_as_the_message_asks_for_are_enough() -> None:
    limits.check(plan(nodes=5000, processes=4))


def test_more_nodes_than_ports_are_refused_with_the_range() -> None:
    with pytest.raises(BenchError, match=r"60,000 nodes need 61,024 free ports, the system gives out [\d,]+ \(\d+ to"):
        limits.check(plan(nodes=60_000, processes=16))


def test_more_memory_than_there_is_is_refused_with_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_memory_available", lambda: 1_000_000_000)

    with pytest.raises(BenchError) as caught:
        limits.check(plan(nodes=5000, processes=1))

    assert "5,000 nodes that know each other need 1.8 GB of memory at the least (64 bytes a member)" in str(
        caught.value
    )
    assert str(caught.value).endswith("1.0 GB are available: use fewer nodes, or free some")


def test_the_memory_that_is_available_is_known() -> None:
    available = limits._memory_available()

    assert available is not None
    assert available > 0


def test_a_soft_limit_is_raised_as_far_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr("resource.getrlimit", lambda _which: (1024, 4096))
    monkeypatch.setattr("resource.setrlimit", lambda _which, both: asked.append(both))

    limits.allow_files(2000)
    limits.allow_files(1000)

    assert asked == [(2000, 4096)]


def test_small_runs_need_nothing_special() -> None:
    limits.check(plan(nodes=12, processes=2))
    assert Path("/proc/sys/net/ipv4/ip_local_port_range").exists()


def test_ten_thousand_nodes_fit_in_eight_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_memory_available", lambda: 8_000_000_000)

    limits._check_memory(plan(nodes=10_000, processes=4))
