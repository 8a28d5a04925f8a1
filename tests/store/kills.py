"""Kills a process that writes a state, again and again, and fails if anything that it reported as saved is lost.

A program of its own, because it forks, which a process with threads had better not do.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from shoal.persistence import OwnState, SavedPeer
from shoal.store.directory_store import DirectoryStore
from shoal.types import Address, NodeId, Tags

ID = NodeId(bytes(16))
PEER = Address("127.0.0.1", 7946)


def main(path: Path, kills: int) -> None:
    draw, reported = random.Random(7), 0
    for _ in range(kills):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            write_until_killed(path, write)
        os.close(write)
        with os.fdopen(read) as lines:
            opened = int(lines.readline())
            assert opened >= reported, f"{reported} was reported as saved, {opened} is there"
            time.sleep(draw.random() * 0.03)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            reported = max([opened, *(int(line) for line in lines.read().split("\n")[:-1])])
    number, events = read_back(path)
    assert number >= reported > kills, f"{reported} was reported as saved, {number} is there"
    assert events[-1] == number, "an event and the state that was given with it are saved together"


def read_back(path: Path) -> tuple[int, list[int]]:
    store = DirectoryStore(path)
    state = store.open()
    store.close()
    assert state.own is not None
    return int(state.own.tags["number"]), [int(event.member) for event in state.events]


def write_until_killed(path: Path, out: int) -> None:
    store = DirectoryStore(path)
    own = store.open().own
    number = 0 if own is None else int(own.tags["number"])
    os.write(out, b"%d\n" % number)
    while True:
        number += 1
        store.save_own(OwnState("shoal", "writer", ID, Tags(number=str(number)), Tags()))
        store.save_peers({f"peer {index}": SavedPeer(PEER._replace(port=number % 65_000 + 1)) for index in range(20)})
        store.add_events([("MemberJoined", str(number), ID, PEER, "")])
        if store.flush().result():
            os.write(out, b"%d\n" % number)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
