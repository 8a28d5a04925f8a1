import asyncio

import pytest

from shoal import Cluster
from shoal.companion import CompanionTask
from shoal.errors import AlreadyStartedError, ClosedError
from shoal.shutdown import Outcome, ShutdownPhase
from tests.clusters import FAST, in_real_time


class Sleeper(CompanionTask):
    """Does nothing until it is ended, which it remembers."""

    def __init__(self, cluster: Cluster, *, fails: bool = False) -> None:
        super().__init__(cluster, "sleeper")
        self.fails = fails
        self.ended = asyncio.Event()

    async def _begin(self) -> None:
        if self.fails:
            raise ClosedError("nothing to sleep on")

    async def _run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


@in_real_time
async def test_it_ends_with_its_block() -> None:
    async with Cluster(FAST, name="a") as cluster:
        async with Sleeper(cluster) as sleeper:
            await asyncio.sleep(0)
            assert not sleeper.ended.is_set()
        assert sleeper.ended.is_set()
        await sleeper.stop()


@in_real_time
async def test_it_ends_with_its_node() -> None:
    cluster = Cluster(FAST, name="a")
    await cluster.start()
    async with Sleeper(cluster) as sleeper:
        await asyncio.sleep(0)
        report = await cluster.close()
    assert sleeper.ended.is_set()
    assert report[ShutdownPhase.COMPANIONS].outcome is Outcome.DONE


@in_real_time
async def test_it_begins_once() -> None:
    async with Cluster(FAST, name="a") as cluster, Sleeper(cluster) as sleeper:
        with pytest.raises(AlreadyStartedError, match="this sleeper has begun already; make a new one"):
            await sleeper.__aenter__()


@in_real_time
async def test_what_cannot_begin_leaves_nothing_behind() -> None:
    async with Cluster(FAST, name="a") as cluster:
        with pytest.raises(ClosedError):
            async with Sleeper(cluster, fails=True):
                pass
        assert not any(task.get_name() == "shoal sleeper" for task in asyncio.all_tasks())
