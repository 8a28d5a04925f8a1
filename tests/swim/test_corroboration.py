"""An accusation is checked by the suspect's challengers before everybody hears of it."""

from typing import Any

import pytest

from shoal.config import ClusterConfig
from shoal.events import MemberFailed, MemberSuspected, ProbeReport
from shoal.swim.stats import Drop
from shoal.types import MemberState
from shoal.wire.messages import Ack, Alive, Dead, Gossip, Ping, Suspect, Update
from tests.swim.harness import OUR_SETTINGS, OWN, Net, Sent, Solo, address_of, heads_of, info_of, node_id

ALIVE, SUSPECT, DEAD, LEFT = MemberState
MEMBERS = 40
CHECKING = 2 * ClusterConfig().probe_timeout
FALLBACK = 1.25 * CHECKING


def _solo(**config: Any) -> Solo:
    """A member of a cluster of 41 at rest."""
    solo = Solo(**OUR_SETTINGS | {"withhold_verdicts": 0.0} | config)
    solo.meet(*range(1, MEMBERS + 1))
    solo.sleep(12.0)
    return solo.quiet()


def _ring(solo: Solo) -> list[int]:
    """The numbers of all members in the order in which they watch each other, from this node on."""
    table = solo.core._table
    numbers = {node_id(number): number for number in (*range(1, MEMBERS + 1), OWN)}
    order = [numbers[table.id(slot)] for slot in table.ring]
    at = order.index(OWN)
    return order[at:] + order[:at]


def _far(solo: Solo) -> tuple[int, list[int]]:
    """A member whom this node does not challenge, and those who do."""
    ring = _ring(solo)
    return ring[20], ring[14:20]


def _near(solo: Solo) -> tuple[int, list[int]]:
    """A member whom this node challenges, and who else does."""
    ring = _ring(solo)
    return ring[3], [number for number in (ring * 2)[MEMBERS + 1 - 3 : MEMBERS + 4] if number != OWN]


def _said_of(number: int, updates: tuple[Update, ...]) -> set[bytes]:
    """Heads of who accuses a member, in some news."""
    accusations = [each for each in updates if isinstance(each, Suspect) and each.id == node_id(number)]
    return {head for each in accusations for head in (each.accuser.head, *each.confirmers)}


def _accusation(number: int, *accusers: int, age: float = 0.0) -> Suspect:
    first, *others = accusers
    return Suspect(node_id(number), 0, node_id(first), confirmers=heads_of(*others), age=age)


def _told(solo: Solo, number: int) -> list[Sent]:
    """Packets of gossip that accuse a member."""
    return [packet for packet in solo.sent(Gossip) if _said_of(number, packet.updates)]


def _accuse(solo: Solo, number: int) -> None:
    """This node's own probe of a member failed."""
    report = ProbeReport(solo.now - 1.0, 0.5, 1.0, (), (), stream_tried=False)
    solo.core._membership.accusations.accuse(node_id(number), 0, report, solo.now)
    solo.core.advance(solo.now)
    solo.collect()


def _accusing(**config: Any) -> tuple[Solo, int, list[int]]:
    """A node whose probe of a far member has just failed, the member, and its challengers."""
    solo = _solo(**config)
    suspect, challengers = _far(solo)
    _accuse(solo, suspect)
    return solo, suspect, challengers


def test_an_accuser_tells_the_suspect_and_its_challengers_and_nobody_else() -> None:
    solo, suspect, challengers = _accusing()
    [event] = solo.events(MemberSuspected)
    assert event.member.id == node_id(suspect)
    sent = solo.sent()
    assert {packet.to for packet in sent if isinstance(packet.message, Gossip)} == set(map(address_of, challengers))
    assert [packet.to for packet in sent if isinstance(packet.message, Ping)] == [address_of(suspect)]
    assert all(_said_of(suspect, packet.updates) == {*heads_of(OWN)} for packet in sent)
    solo.sleep(CHECKING)
    assert _told(solo, suspect) == []


def test_whoever_refutes_in_time_is_spoken_of_to_nobody_else() -> None:
    solo, suspect, _ = _accusing()
    solo.quiet()
    solo.hear(Alive(info_of(suspect), 1))
    solo.sleep(10.0)
    assert solo.state(suspect) is ALIVE
    assert _told(solo, suspect) == []


def test_what_enough_challengers_confirm_is_told_to_everybody_with_all_accusers() -> None:
    solo, suspect, challengers = _accusing()
    solo.quiet()
    accusers = challengers[:2]
    solo.hear(_accusation(suspect, accusers[0]))
    solo.sleep(0.0)
    assert _told(solo, suspect) == []
    solo.hear(_accusation(suspect, accusers[1]))
    solo.sleep(0.0)
    packets = _told(solo, suspect)
    assert packets
    assert all(_said_of(suspect, packet.updates) == {*heads_of(OWN, *accusers)} for packet in packets)


def test_what_nobody_confirms_or_refutes_is_told_to_everybody_after_a_while() -> None:
    solo, suspect, _ = _accusing()
    solo.quiet()
    solo.sleep(FALLBACK - 0.01)
    assert _told(solo, suspect) == []
    solo.sleep(0.02)
    assert _told(solo, suspect)


def test_a_challenger_probes_the_suspect_and_keeps_the_accusation_to_itself() -> None:
    solo = _solo()
    suspect, others = _near(solo)
    solo.hear(Suspect(node_id(suspect), 0, node_id(others[0])))
    assert [packet.to for packet in solo.sent(Ping)] == [address_of(suspect)]
    solo.sleep(CHECKING - 0.01)
    assert _told(solo, suspect) == []


def test_a_challenger_that_confirms_tells_the_accuser_and_the_other_challengers() -> None:
    solo = _solo()
    suspect, others = _near(solo)
    accuser = _far(solo)[0]
    solo.hear(Suspect(node_id(suspect), 0, node_id(accuser)))
    solo.quiet()
    solo.sleep(CHECKING + 0.01)
    packets = _told(solo, suspect)
    assert {packet.to for packet in packets} == {address_of(accuser), *map(address_of, others)}
    assert all(_said_of(suspect, packet.updates) == {*heads_of(accuser, OWN)} for packet in packets)


def test_a_challenger_whose_probe_is_answered_tells_nobody() -> None:
    solo = _solo()
    suspect, others = _near(solo)
    solo.hear(Suspect(node_id(suspect), 0, node_id(others[0])))
    [ping] = solo.sent(Ping)
    assert isinstance(ping.message, Ping)
    solo.receive(Ack(ping.message.seq, 0, node_id(suspect)), Alive(info_of(suspect), 1), source=address_of(suspect))
    solo.sleep(10.0)
    assert solo.state(suspect) is ALIVE
    assert _told(solo, suspect) == []


def test_whoever_is_neither_accuser_nor_challenger_passes_an_accusation_on_at_once() -> None:
    solo = _solo()
    suspect, challengers = _far(solo)
    solo.hear(Suspect(node_id(suspect), 0, node_id(challengers[0])))
    solo.sleep(0.0)
    assert _told(solo, suspect)


def test_a_suspicion_ends_at_one_moment_whenever_a_node_hears_of_it() -> None:
    solo = _solo()
    suspect, challengers = _far(solo)
    began, least = solo.now - 1.3, ClusterConfig().suspicion_floor
    solo.hear(_accusation(suspect, *challengers[:3], age=1.3))
    solo.sleep_until(began + least - 0.01)
    assert solo.state(suspect) is SUSPECT
    solo.sleep(0.02)
    assert solo.state(suspect) is DEAD
    [failed] = solo.events(MemberFailed)
    assert failed.evidence.suspicion.lasted == pytest.approx(least, abs=0.01)


def test_a_suspicion_is_told_with_the_age_that_it_has_by_then() -> None:
    solo = _solo(gossip_rounds=64)
    suspect, challengers = _far(solo)
    began = solo.now - 0.25
    solo.hear(_accusation(suspect, *challengers[:3], age=0.25))
    solo.sleep(1.5)
    packets = _told(solo, suspect)
    assert len({packet.at for packet in packets}) > 1
    for packet in packets:
        [told] = [each for each in packet.updates if isinstance(each, Suspect)]
        assert told.age == pytest.approx(packet.at - began, abs=0.001)


def test_an_older_report_of_a_suspicion_moves_its_end_forward() -> None:
    solo = _solo()
    suspect, challengers = _far(solo)
    solo.hear(_accusation(suspect, *challengers[:3]))
    solo.sleep(0.1)
    solo.hear(_accusation(suspect, *challengers[:3], age=1.5))
    solo.sleep(0.49)
    assert solo.state(suspect) is SUSPECT
    solo.sleep(0.02)
    assert solo.state(suspect) is DEAD


def test_however_old_a_suspicion_is_said_to_be_a_refutation_gets_a_moment() -> None:
    solo = _solo()
    suspect, challengers = _far(solo)
    solo.hear(_accusation(suspect, *challengers[:3], age=60.0))
    solo.sleep(0.1)
    assert solo.state(suspect) is SUSPECT
    solo.hear(Alive(info_of(suspect), 1))
    solo.sleep(5.0)
    assert solo.state(suspect) is ALIVE


def test_what_few_confirmed_counts_as_no_older_than_a_check_takes() -> None:
    solo = _solo()
    suspect, challengers = _far(solo)
    solo.hear(_accusation(suspect, challengers[0], age=60.0))
    longest = ClusterConfig().suspicion_beta * ClusterConfig().suspicion_floor
    solo.sleep(longest - CHECKING - 0.01)
    assert solo.state(suspect) is SUSPECT
    solo.sleep(ClusterConfig().probe_interval + 0.02)
    assert solo.state(suspect) is DEAD


def _assert_counts_from_when_it_is_heard(solo: Solo) -> None:
    """A confirmed accusation that says that it is old lasts the least suspicion time from now."""
    suspect, challengers = _far(solo)
    solo.hear(_accusation(suspect, *challengers[:3], age=1.5))
    solo.sleep(ClusterConfig().suspicion_floor - 0.01)
    assert solo.state(suspect) is SUSPECT
    solo.sleep(0.02)
    assert solo.state(suspect) is DEAD


def test_with_ages_off_a_suspicion_counts_from_when_it_is_heard() -> None:
    _assert_counts_from_when_it_is_heard(_solo(suspicion_ages=False))


@pytest.mark.parametrize(("times", "is_damped"), [(1, False), (12, True)])
def test_whoever_refuted_lately_is_suspected_in_public_damped_or_not(times: int, is_damped: bool) -> None:
    solo = _solo()
    suspect, challengers = _far(solo)
    first, *confirmers = challengers[:3]
    for incarnation in range(times):
        solo.hear(Suspect(node_id(suspect), incarnation, node_id(first), confirmers=heads_of(*confirmers)))
        solo.hear(Alive(info_of(suspect), incarnation + 1))
    solo.sleep(10.0)
    solo.quiet()
    assert (node_id(suspect) in solo.core._membership.deaths.damping) is is_damped
    report = ProbeReport(solo.now - 1.0, 0.5, 1.0, (), (), stream_tried=False)
    solo.core._membership.accusations.accuse(node_id(suspect), times, report, solo.now)
    solo.core.advance(solo.now)
    solo.sleep(0.0)
    told = {packet.to for packet in _told(solo, suspect)}
    assert told
    assert not told <= set(map(address_of, challengers))


def test_whoever_missed_the_suspicion_hears_of_it_with_the_death() -> None:
    solo = _solo()
    suspect, challengers = _far(solo)
    solo.hear(_accusation(suspect, *challengers[:3]))
    solo.sleep(3.0)
    assert solo.state(suspect) is DEAD
    solo.quiet()
    solo.receive(Ping(1, 0, node_id(challengers[0]), node_id(OWN)), source=address_of(challengers[0]))
    [ack] = solo.sent(Ack)
    about = [update for update in ack.updates if isinstance(update, Suspect | Dead) and update.id == node_id(suspect)]
    assert [type(update) for update in about] == [Suspect, Dead]
    assert _said_of(suspect, ack.updates) == {*heads_of(*challengers[:3])}


def test_confirmers_that_are_no_members_here_do_not_count() -> None:
    solo, suspect, challengers = _accusing()
    solo.quiet()
    solo.hear(_accusation(suspect, challengers[0], 999))
    solo.sleep(0.0)
    assert _told(solo, suspect) == []
    solo.hear(_accusation(suspect, challengers[0], challengers[1]))
    solo.sleep(0.0)
    assert _told(solo, suspect)


def test_however_many_confirm_what_is_told_fits_in_the_smallest_datagram() -> None:
    solo, suspect, _ = _accusing(suspicion_confirmations=16, max_datagram=512)
    confirmers = [number for number in range(1, MEMBERS + 1) if number != suspect][:16]
    solo.quiet()
    solo.hear(*(Suspect(node_id(suspect), 0, node_id(number)) for number in confirmers))
    solo.sleep(0.0)
    packets = _told(solo, suspect)
    assert packets
    assert max(packet.size for packet in packets) <= 512
    assert all(_said_of(suspect, packet.updates) >= {*heads_of(OWN, confirmers[-1])} for packet in packets)
    assert Drop.OVERSIZED not in solo.dropped


def test_without_corroboration_everybody_hears_of_an_accusation_at_once() -> None:
    solo, suspect, challengers = _accusing(corroborate=False)
    solo.sleep(0.0)
    told = {packet.to for packet in _told(solo, suspect)}
    assert told
    assert told != set(map(address_of, challengers))


def test_two_members_that_do_not_reach_each_other_bother_only_those_who_check_them() -> None:
    # With damping, of which this is a case, everybody would be told at last.
    net = Net(24, indirect_probes=0, stream_probe=False, damping=False).form(20.0)
    neighbour = next(number for number in range(1, 25) if net[number] is net.after(5))
    pair = {address_of(5), address_of(neighbour)}
    net.lost = lambda sender, datagram: {sender.info.address, datagram.address} == pair
    net.sleep(60.0)
    heard = {number for number in range(1, 25) if net[number].core.stats.suspicions}
    corroboration, table = net[1].core._membership.corroboration, net[1].core._table
    checkers = {table.name(slot) for number in (5, neighbour) for slot in corroboration.challengers(node_id(number))}
    assert heard
    assert {f"n{number}" for number in heard} <= {"n5", f"n{neighbour}"} | checkers
    assert all(node.core.stats.deaths == 0 for node in net.nodes.values())


def test_whoever_has_just_come_is_not_believed_for_how_long_it_has_accused() -> None:
    solo = Solo(**OUR_SETTINGS | {"withhold_verdicts": 0.0})
    solo.meet(*range(1, MEMBERS + 1))
    solo.sleep(5.0)
    _assert_counts_from_when_it_is_heard(solo)
