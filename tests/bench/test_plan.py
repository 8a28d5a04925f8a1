import pytest

from shoal.errors import ConfigError
from tests.bench.plans import plan


def test_every_node_lives_in_one_process() -> None:
    shares = [plan(nodes=11, processes=3).share_of(worker) for worker in range(3)]

    assert sorted(number for share in shares for number in share) == list(range(11))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(("nodes", "kill", "seeds"), [(100, 10, 4), (12, 1, 2), (12, 10, 8), (3, 1, 2), (5, 0, 1)])
def test_as_many_different_nodes_are_killed_as_asked_for(nodes: int, kill: int, seeds: int) -> None:
    victims = plan(nodes=nodes, kill=kill, seeds=seeds).victims()

    assert len(victims) == kill
    assert all(0 <= victim < nodes for victim in victims)


def test_seeds_are_spared_as_long_as_there_are_others() -> None:
    assert min(plan(nodes=12, kill=8, seeds=4).victims()) >= 4


def test_at_least_two_nodes_must_survive() -> None:
    with pytest.raises(ConfigError, match=r"--kill = 11: leaves fewer than 2 of 12 nodes; kill fewer"):
        plan(nodes=12, kill=11)


def test_a_process_without_a_node_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--processes = 13: must not exceed the 12 nodes"):
        plan(processes=13)


def test_nodes_listen_on_free_ports_of_loopback_whatever_the_settings_say() -> None:
    config = plan().config.replace(bind="0.0.0.0:7946", seeds=["127.0.0.1:1"], name="x")

    made = plan(config=config).node_config

    assert str(made.bind) == "127.0.0.1:0"
    assert made.seeds == ()
    assert made.name is None


def test_a_table_too_small_for_all_nodes_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"max_members = 3: must be at least the 12 nodes"):
        plan(config=plan().config.replace(max_members=3))
