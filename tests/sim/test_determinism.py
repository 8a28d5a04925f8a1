import os
import subprocess
import sys
from hashlib import sha256
from io import StringIO

from shoal.sim.scenario import Scenario, play, random_scenario


def fingerprint(scenario: Scenario) -> str:
    """A hash of every byte that went into any core and everything that came out."""
    trace = StringIO()
    cluster = play(scenario, trace=trace)
    return sha256(f"{trace.getvalue()}{cluster.observations}{cluster.network.dropped}".encode()).hexdigest()


def test_one_seed_is_one_run_byte_for_byte() -> None:
    for seed in range(3):
        assert fingerprint(random_scenario(seed)) == fingerprint(random_scenario(seed))


def test_different_seeds_are_different_runs() -> None:
    assert len({fingerprint(random_scenario(seed)) for seed in range(4)}) == 4


def test_the_same_steps_under_another_seed_are_another_run() -> None:
    scenario = random_scenario(1)
    other = Scenario(2, scenario.nodes, scenario.steps, scenario.link, scenario.seeds)

    assert fingerprint(scenario) != fingerprint(other)


def test_a_run_does_not_depend_on_how_this_process_hashes_text() -> None:
    program = (
        "from tests.sim.test_determinism import fingerprint\n"
        "from shoal.sim.scenario import random_scenario\n"
        "print(fingerprint(random_scenario(5)))"
    )

    prints = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }

    assert prints == {fingerprint(random_scenario(5))}
