"""Use a cluster from code without an event loop: the same methods without `await`, from any thread.

Run it with `python examples/blocking_worker.py`.
"""

import threading

import shoal
from shoal import blocking


def main() -> None:
    """Start two nodes; one waits for work on a thread of its own, the other sends some."""
    config = shoal.ClusterConfig.local(bind="127.0.0.1:0")
    with blocking.Cluster(config, name="boss") as boss:
        with blocking.Cluster(config, name="worker", seeds=[boss.local.address], tags={"role": "worker"}) as worker:
            boss.wait_for_members(2)
            replies = boss.events()
            working = threading.Thread(target=work, args=(worker, worker.events()))
            working.start()

            for member in boss.members(role="worker"):
                boss.send(member, b"6 7")
            answer = next(event for event in replies if isinstance(event, shoal.MessageReceived))
            print("the answer is", answer.payload.decode())
        # The worker's node is closed: that ended its loop over events, and so its thread.
        working.join()


def work(cluster: blocking.Cluster, events: blocking.Events) -> None:
    """Multiply what comes in, until the cluster is closed."""
    for event in events:
        if isinstance(event, shoal.MessageReceived):
            first, second = map(int, event.payload.split())
            cluster.send(event.sender, str(first * second).encode())


if __name__ == "__main__":
    main()
