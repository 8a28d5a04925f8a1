import pytest

from shoal.study import published
from shoal.study.configurations import DEFAULT
from shoal.study.kill import KillCell, QuietCell, run_kill, run_quiet


def test_a_kill_is_known_to_all_sooner_by_default_than_with_memberlists_settings() -> None:
    cell = KillCell(nodes=12, settle=3.0)

    ours, theirs = (run_kill(name, cell).all_know for name in (DEFAULT, "memberlist"))

    assert ours is not None
    assert theirs is not None
    assert ours < theirs


def test_a_quiet_cluster_without_loss_sees_nothing_and_sends_two_messages_a_period() -> None:
    outcome = run_quiet("plain SWIM", QuietCell(nodes=8, loss=0.0, seconds=30.0, settle=5.0))

    assert (outcome.false_suspicions, outcome.false_deaths, outcome.probes_failed) == (0, 0, 0)
    assert outcome.messages_per_node_s == pytest.approx(2.0, abs=0.01)


def test_probes_fail_as_often_as_the_formula_says() -> None:
    outcome = run_quiet("plain SWIM, k 1", QuietCell(nodes=10, loss=0.3, seconds=60.0, settle=2.0))

    expected = published.false_detection(0.3, 1)
    assert outcome.probes_failed / outcome.probes == pytest.approx(expected, rel=0.2)
