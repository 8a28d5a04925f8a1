import os
import threading
import time
from concurrent.futures import CancelledError

import pytest

from shoal.sim.workers import WorkerDied, Workers


def test_calls_are_made_in_other_processes() -> None:
    with Workers(2) as workers:
        pids = {workers.submit(os.getpid).result() for _ in range(4)}

    assert os.getpid() not in pids
    assert 1 <= len(pids) <= 2


def test_errors_come_back_even_those_that_cannot_travel() -> None:
    with Workers(1) as workers:
        plain = workers.submit(int, "x")
        wayward = workers.submit(exec, "class Wayward(Exception): ...\nraise Wayward('earthquake')")

        with pytest.raises(ValueError, match="invalid literal"):
            plain.result()
        with pytest.raises(RuntimeError, match="Wayward: earthquake"):
            wayward.result()


def test_a_process_that_dies_costs_one_call_only() -> None:
    with Workers(1) as workers:
        fatal, other = workers.submit(os._exit, 3), workers.submit(len, "abc")

        with pytest.raises(WorkerDied):
            fatal.result()
        assert other.result() == 3


def test_termination_ends_calls_that_are_under_way() -> None:
    workers = Workers(1)
    endless, waiting = workers.submit(time.sleep, 3600), workers.submit(len, "abc")
    while not endless.running():
        time.sleep(0.001)

    workers.terminate()

    with pytest.raises(WorkerDied):
        endless.result()
    with pytest.raises(CancelledError):
        waiting.result()
    with pytest.raises(RuntimeError, match="shut down"):
        workers.submit(len, "abc")
    assert not any(process.is_alive() for process in workers._processes.values())


def test_no_thread_is_left() -> None:
    before = threading.active_count()

    with Workers(2) as workers:
        workers.submit(len, "abc").result()

    assert threading.active_count() == before
