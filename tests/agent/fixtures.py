"""Fixtures of tests that need agents; a `conftest` imports them."""

from collections.abc import Iterator

import pytest

from tests.agent.processes import AgentProcess, Agents, running_agents


@pytest.fixture
def agents() -> Iterator[Agents]:
    """Agents of one test."""
    with running_agents() as agents:
        yield agents


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[AgentProcess, AgentProcess]]:
    """Agents `a` and `b`, which see each other; for tests that leave them as they are."""
    with running_agents() as agents:
        yield agents.pair()
