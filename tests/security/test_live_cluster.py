"""The attack of `make hostile`, smaller: five agents as processes, attacked and used at the same time."""

import asyncio
import sys

import pytest

from benchmarks import hostile

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, and all of 127.0.0.0/8 on loopback")


def test_a_live_cluster_withstands_hostile_datagrams_and_streams() -> None:
    outcome = asyncio.run(hostile.run(hostile.Plan(datagrams=20_000, streams=200, seconds=10.0)))
    assert list(outcome.problems()) == []
    assert sum(outcome.datagrams.values()) == 20_000
    assert sum(outcome.streams.values()) == 200
    reasons = {name for name, count in outcome.dropped.items() if count}
    assert {f"transport_dropped_{what}" for what in ("not_sealed", "bad_tag", "replayed")} <= reasons
