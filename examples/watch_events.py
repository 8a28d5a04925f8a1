"""Follow what happens in a cluster: joins, new tags, broadcasts, goodbyes and failures.

Run it with `python examples/watch_events.py`.
"""

import asyncio

import shoal


async def main() -> None:
    """Watch two nodes come, talk and go: one says goodbye, the other crashes."""
    config = shoal.ClusterConfig.local(bind="127.0.0.1:0", probe_interval=0.2, probe_timeout=0.1)
    async with shoal.Cluster(config, name="watcher") as watcher:
        watching = asyncio.create_task(watch(watcher, watcher.events()))

        seeds = [watcher.local.address]
        async with shoal.Cluster(config, name="polite", seeds=seeds) as polite:
            await polite.update_tags({"role": "worker"})
            await polite.broadcast(b"hello, everybody")
            await asyncio.sleep(0.5)
        # Leaving the block said goodbye: the others saw "left".

        hasty = shoal.Cluster(config, name="hasty", seeds=seeds)
        await hasty.start()
        await hasty.close()  # without leave(): to the others that is a crash

        await watching


async def watch(cluster: shoal.Cluster, events: shoal.Subscription) -> None:
    """Print events until a member has failed."""
    async for event in events:
        match event:
            case shoal.MemberJoined(member):
                print(f"{member.name} joined at {member.address}")
            case shoal.MemberUpdated(member, previous_tags):
                print(f"{member.name} changed its tags from {previous_tags} to {member.tags}")
            case shoal.BroadcastReceived(origin, payload):
                sender = cluster.member(origin)
                print(f"{sender.name if sender else origin} says: {payload.decode()}")
            case shoal.MemberSuspected(member, evidence):
                print(f"{member.name} is suspected by {', '.join(evidence.accusers)}")
            case shoal.MemberRecovered(member):
                print(f"{member.name} is fine after all")
            case shoal.MemberLeft(member):
                print(f"{member.name} left")
            case shoal.MemberFailed(member, evidence):
                print(f"{member.name} failed: {evidence.reason.value}")
                return
            case shoal.EventsLost(count):
                print(f"this loop was too slow for {count} events; members: {cluster.members()}")


if __name__ == "__main__":
    asyncio.run(main())
