"""Find workers by what they say of themselves: three nodes, a router that picks the least loaded worker.

Run it with `python examples/workers_by_tag.py`. In real life each node is a process of its own that is given the
addresses of some others as seeds.
"""

import asyncio

import shoal


async def main() -> None:
    """Start two workers and a router on this machine, and choose a worker while they change."""
    config = shoal.ClusterConfig.local(bind="127.0.0.1:0")  # port 0: any free one
    async with shoal.Cluster(config, name="router") as router:
        seeds = [router.local.address]
        async with (
            shoal.Cluster(config, name="gpu-1", seeds=seeds, tags={"role": "worker", "load": "3"}) as first,
            shoal.Cluster(config, name="gpu-2", seeds=seeds, tags={"role": "worker", "load": "1"}) as second,
        ):
            await router.wait_for_members(3)
            print("least loaded:", least_loaded(router).name)

            events = router.events()  # from here on nothing is missed
            await second.update_tags({"load": "9"})
            await next_of(events, shoal.MemberUpdated)
            print("least loaded:", least_loaded(router).name)

            await first.leave()  # no more work for this one, please
            await next_of(events, shoal.MemberLeft)
            print("least loaded:", least_loaded(router).name)


async def next_of(events: shoal.Subscription, kind: type[shoal.Event]) -> None:
    """Wait for an event of one kind."""
    async for event in events:
        if isinstance(event, kind):
            return


def least_loaded(cluster: shoal.Cluster) -> shoal.Member:
    """The worker with the smallest load; a read that never waits on the network."""
    return min(cluster.members(role="worker"), key=lambda worker: int(worker.tags["load"]))


if __name__ == "__main__":
    asyncio.run(main())
