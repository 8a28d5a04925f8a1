"""The pytest plugin: a fixture that makes simulated clusters, and options that sweep their seeds.

    def test_everybody_sees_a_crash(shoal_cluster: ClusterFactory) -> None:
        cluster = shoal_cluster(nodes=5)
        cluster.start_all()
        ...

`pytest --shoal-seeds 0..99` runs each such test a hundred times, with another seed each time; without it the seed is 0.
A test that fails shows its seed and how to run it again: `pytest --shoal-seed 17 ...`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, Final, Protocol

import pytest

from shoal.errors import ShoalError
from shoal.sim.cluster import SimCluster
from shoal.sim.seeds import read_seeds

__all__ = ["ClusterFactory"]

_FIXTURE: Final = "shoal_cluster"
_SEED: Final = "shoal_seed"


class ClusterFactory(Protocol):
    """What the fixture `shoal_cluster` is: a function that makes clusters."""

    def __call__(self, nodes: int = 5, **options: Any) -> SimCluster:
        """Make a cluster with the seed of the test; for the options see `SimCluster`."""
        ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("shoal", "simulated clusters")
    group.addoption(
        "--shoal-seeds",
        metavar="FIRST..LAST",
        type=_seeds,
        help="run each test that uses shoal_cluster with each of these seeds",
    )
    group.addoption(
        "--shoal-seed", metavar="N", type=_seed, dest="shoal_seeds", help="run each such test with this seed"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Multiply the tests that use the fixture by the seeds that were asked for."""
    seeds: range | None = metafunc.config.getoption("shoal_seeds")
    if seeds is not None and _SEED in metafunc.fixturenames:
        metafunc.parametrize(_SEED, seeds, ids=lambda seed: f"seed={seed}", scope="function")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say which seed a failed test had."""
    report = yield
    arguments: dict[str, Any] = getattr(item, "funcargs", {})
    if report.failed and _FIXTURE in arguments:
        seed = arguments[_SEED]
        test = item.nodeid.removesuffix("]").partition("[")[0]
        report.sections.append(("shoal", f"seed {seed}; to run it again: pytest --shoal-seed {seed} '{test}'"))
    return report


@pytest.fixture
def shoal_seed() -> int:
    """The seed of this test's clusters."""
    return 0


@pytest.fixture
def shoal_cluster(shoal_seed: int) -> Iterator[ClusterFactory]:
    """A function that makes simulated clusters, all from the seed of the test.

    At the end of the test the invariants that hold at any moment are checked once more.
    """
    made: list[SimCluster] = []

    def make(nodes: int = 5, **options: Any) -> SimCluster:
        cluster = SimCluster(nodes, seed=shoal_seed, **options)
        made.append(cluster)
        return cluster

    yield make
    for cluster in made:
        cluster.check()


def _seeds(text: str) -> range:
    try:
        return read_seeds(text)
    except ShoalError:
        raise pytest.UsageError(f"--shoal-seeds {text}: write FIRST..LAST, as in 0..99") from None


def _seed(text: str) -> range:
    if not text.isdecimal():
        raise pytest.UsageError(f"--shoal-seed {text}: write a whole number from 0 on")
    return range(int(text), int(text) + 1)
