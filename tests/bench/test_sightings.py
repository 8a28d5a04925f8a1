from random import Random

from shoal.bench.sightings import Observed
from shoal.events import Evidence, MemberFailed, MemberJoined, MemberSuspected, VerdictReason
from shoal.types import Address, Member, MemberState, NodeId, Tags

EVIDENCE = Evidence(VerdictReason.REPORTED)


def member(number: int) -> Member:
    identity = NodeId.mint(number, Random(number))
    return Member(f"n{number}", identity, Address("127.0.0.1", 1), MemberState.DEAD, 1, Tags(), 0.0)


def test_verdicts_on_nodes_that_run_are_counted_by_observer_and_by_node() -> None:
    observed = Observed()
    observed.expect([7])

    observed.note([MemberSuspected(member(1), EVIDENCE), MemberSuspected(member(7), EVIDENCE)])
    observed.note([MemberSuspected(member(1), EVIDENCE), MemberFailed(member(1), EVIDENCE), MemberJoined(member(2))])

    assert (observed.false_suspicions, observed.falsely_suspected) == (2, {"n1"})
    assert (observed.false_deaths, observed.falsely_dead) == (1, {"n1"})
    assert observed.verdict_count == 0


def test_each_observers_verdict_on_a_killed_node_is_kept_with_its_time() -> None:
    observed = Observed()
    observed.expect([7, 8])

    observed.note([MemberFailed(member(7), EVIDENCE), MemberFailed(member(8), EVIDENCE)])
    observed.note([MemberFailed(member(7), EVIDENCE)])

    assert {number: len(times) for number, times in observed.verdicts.items()} == {7: 2, 8: 1}
    assert list(observed.verdicts[7]) == sorted(observed.verdicts[7])
    assert observed.false_deaths == 0
