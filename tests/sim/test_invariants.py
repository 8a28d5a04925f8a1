"""Each invariant is fed a moment that holds and moments that break it."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from shoal.config import ClusterConfig
from shoal.events import (
    BroadcastReceived,
    Event,
    Evidence,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberRecovered,
    MemberSuspected,
    MemberUpdated,
    VerdictReason,
)
from shoal.sim import invariants
from shoal.sim.cluster import SimCluster
from shoal.sim.invariants import AT_REST, DURING, Holding, Invariant, InvariantViolated, Moment, View
from shoal.state.table import MemberTable
from shoal.swim.gossip_queue import GossipQueue
from shoal.types import Address, Member, MemberState, NodeId, Readiness, Tags

ALIVE, SUSPECT, DEAD, LEFT = MemberState

_random = Random(1)
IDS = {name: NodeId.mint(number, _random) for number, name in enumerate(("n0", "n1", "n2"))}
CONFIG = ClusterConfig.lan()
EVIDENCE = Evidence(VerdictReason.REPORTED)


def member(name: str, state: MemberState = ALIVE, incarnation: int = 0, port: int | None = None) -> Member:
    address = Address("10.0.0.1", port or 1 + list(IDS).index(name))
    return Member(name, IDS[name], address, state, incarnation, Tags(), since=0.0)


def view(*members: Member, observer: str = "n0", events: Sequence[Event] = ()) -> View:
    return View(
        observer=observer,
        run=1,
        id=IDS[observer],
        config=CONFIG,
        members={member.id: member for member in members},
        events=events,
        digest=hash(tuple(sorted((m.id, m.incarnation, m.state) for m in members if m.state.is_present))),
    )


def moment(*views: View, time: float = 1.0, leavers: Sequence[str] = ()) -> Moment:
    return Moment(
        time=time,
        views={view.observer: view for view in views},
        incarnations=dict.fromkeys(IDS.values(), 5),
        leavers=frozenset(IDS[name] for name in leavers),
    )


EMPTY = Moment(0.0)
SELF = member("n0")


def broken(invariant: Invariant, before: Moment, after: Moment) -> str:
    """What the invariant says; empty when it holds."""
    return "; ".join(invariant(before, after))


@pytest.mark.parametrize("invariant", [*DURING, *AT_REST])
def test_a_cluster_at_rest_breaks_nothing(invariant: Invariant) -> None:
    everybody = [member(name, incarnation=2) for name in IDS]
    rest = moment(*(view(*everybody, observer=name) for name in IDS))

    assert broken(invariant, rest, replace(rest, time=2.0)) == ""


@pytest.mark.parametrize("invariant", [*DURING, *AT_REST])
def test_every_invariant_says_what_it_is_about(invariant: Invariant) -> None:
    assert invariant.__doc__
    assert invariant.__name__ in invariants.__all__


def test_a_falling_incarnation_is_seen() -> None:
    before, after = view(SELF, member("n1", incarnation=3)), view(SELF, member("n1", DEAD, incarnation=2))

    told = broken(invariants.incarnations_never_fall, moment(before), moment(after))

    assert told == "n0 had n1 at incarnation 3, now at 2"


def test_a_new_run_of_the_observer_starts_afresh() -> None:
    before, after = view(SELF, member("n1", incarnation=3)), view(SELF, member("n1", incarnation=2))

    assert not broken(invariants.incarnations_never_fall, moment(before), moment(replace(after, run=2)))


@pytest.mark.parametrize(("was", "now"), [(SUSPECT, ALIVE), (DEAD, ALIVE), (DEAD, SUSPECT), (LEFT, DEAD)])
def test_a_state_that_falls_at_one_incarnation_is_seen(was: MemberState, now: MemberState) -> None:
    before, after = moment(view(SELF, member("n1", was))), moment(view(SELF, member("n1", now)))

    assert broken(invariants.precedence_holds, before, after) == (f"n0 had n1 {was}, now {now} (incarnation 0, now 0)")


def test_a_refutation_is_no_fall_except_of_a_leaver() -> None:
    after = moment(view(SELF, member("n1", ALIVE, incarnation=1)))

    for was in (SUSPECT, DEAD):
        assert not broken(invariants.precedence_holds, moment(view(SELF, member("n1", was))), after)
    assert broken(invariants.precedence_holds, moment(view(SELF, member("n1", LEFT))), after)


@pytest.mark.parametrize("own", [member("n0", SUSPECT), member("n0", DEAD), member("n1")])
def test_a_node_that_does_not_hold_itself_alive_is_seen(own: Member) -> None:
    after = moment(view(own))

    assert broken(invariants.live_nodes_hold_themselves_alive, EMPTY, after).startswith("n0 holds itself")
    leaving = moment(replace(view(own), is_member=False))
    assert not broken(invariants.live_nodes_hold_themselves_alive, EMPTY, leaving)


def test_an_incarnation_above_the_owners_is_seen() -> None:
    after = moment(view(SELF, member("n1", incarnation=6)))

    told = broken(invariants.only_owners_raise_incarnations, EMPTY, after)

    assert told == "n0 has n1 at incarnation 6, itself is at 5"


def test_a_member_that_never_ran_is_seen() -> None:
    after = replace(moment(view(SELF, member("n1"))), incarnations={IDS["n0"]: 0})

    assert "which never ran" in broken(invariants.only_owners_raise_incarnations, EMPTY, after)


def test_two_live_runs_of_a_name_or_an_address_are_seen() -> None:
    same_name = replace(member("n2"), name="n1")
    same_address = member("n2", port=2)
    check = invariants.names_and_addresses_have_one_live_run

    assert broken(check, EMPTY, moment(view(SELF, member("n1"), same_name))) == "n0 has 2 present members at n1"
    assert "10.0.0.1:2" in broken(check, EMPTY, moment(view(SELF, member("n1"), same_address)))
    assert not broken(check, EMPTY, moment(view(SELF, member("n1"), replace(same_name, state=DEAD))))


JOINED = MemberJoined(member("n1"))
SUSPECTED = MemberSuspected(member("n1", SUSPECT), EVIDENCE)
RECOVERED = MemberRecovered(member("n1", incarnation=1))
UPDATED = MemberUpdated(member("n1", incarnation=1), Tags())
FAILED = MemberFailed(member("n1", DEAD), EVIDENCE)
GONE = MemberLeft(member("n1", LEFT))


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([JOINED], ALIVE),
        ([JOINED, UPDATED], ALIVE),
        ([JOINED, SUSPECTED], SUSPECT),
        ([JOINED, SUSPECTED, RECOVERED, UPDATED], ALIVE),
        ([JOINED, SUSPECTED, UPDATED, RECOVERED, SUSPECTED, FAILED], DEAD),
        ([JOINED, FAILED, JOINED], ALIVE),
        ([JOINED, SUSPECTED, GONE], LEFT),
        ([], DEAD),
        ([], None),
    ],
)
def test_events_in_a_legal_order_that_lead_to_the_view_hold(events: list[Event], state: MemberState | None) -> None:
    members = [SELF] if state is None else [SELF, member("n1", state)]

    assert not broken(invariants.events_tell_the_view, EMPTY, moment(view(*members, events=events)))


@pytest.mark.parametrize(
    ("events", "state", "told"),
    [
        ([SUSPECTED], SUSPECT, "n0 saw MemberSuspected of n1, which it knew as gone"),
        ([JOINED, JOINED], ALIVE, "n0 saw MemberJoined of n1, which it knew as alive"),
        ([JOINED, RECOVERED], ALIVE, "n0 saw MemberRecovered of n1, which it knew as alive"),
        ([JOINED, SUSPECTED, SUSPECTED], SUSPECT, "n0 saw MemberSuspected of n1, which it knew as suspect"),
        ([JOINED, FAILED, GONE], LEFT, "n0 saw MemberLeft of n1, which it knew as gone"),
        ([JOINED, FAILED, UPDATED], DEAD, "n0 saw MemberUpdated of n1, which it knew as gone"),
        ([], ALIVE, f"n0 was told that {IDS['n1']} is gone and holds it alive"),
        ([JOINED], None, f"n0 was told that {IDS['n1']} is alive and holds it gone"),
        ([JOINED], SUSPECT, f"n0 was told that {IDS['n1']} is alive and holds it suspect"),
    ],
)
def test_events_out_of_order_or_beside_the_view_are_seen(
    events: list[Event], state: MemberState | None, told: str
) -> None:
    members = [SELF] if state is None else [SELF, member("n1", state)]

    assert broken(invariants.events_tell_the_view, EMPTY, moment(view(*members, events=events))) == told


def test_events_go_on_from_the_earlier_view() -> None:
    before = moment(view(SELF, member("n1", SUSPECT)))

    assert not broken(invariants.events_tell_the_view, before, moment(view(SELF, events=[FAILED])))
    assert broken(invariants.events_tell_the_view, before, moment(view(SELF, member("n1"), events=[JOINED])))


def test_events_of_a_node_about_itself_are_its_own_affair() -> None:
    after = moment(view(SELF, events=[MemberUpdated(SELF, Tags())]))

    assert not broken(invariants.events_tell_the_view, EMPTY, after)


def test_a_leaver_that_is_reported_failed_is_seen_unless_it_was_replaced() -> None:
    check = invariants.leavers_are_never_reported_failed
    replaced = MemberFailed(FAILED.member, Evidence(VerdictReason.REPLACED))

    assert broken(check, EMPTY, moment(view(SELF, events=[FAILED]), leavers=["n1"])).startswith("n0 saw n1 fail")
    assert not broken(check, EMPTY, moment(view(SELF, events=[FAILED]), leavers=["n2"]))
    assert not broken(check, EMPTY, moment(view(SELF, events=[GONE]), leavers=["n1"]))
    assert not broken(check, EMPTY, moment(view(SELF, events=[replaced]), leavers=["n1"]))


def test_a_retired_node_that_is_still_selected_is_seen() -> None:
    check = invariants.retired_nodes_are_not_selected
    retired = frozenset({IDS["n1"]})
    seen_as = {
        member("n1"): True,
        replace(member("n1"), readiness=Readiness.DRAINING): False,
        member("n1", SUSPECT): False,
        member("n1", LEFT): False,
        member("n2"): False,
    }

    for seen, is_wrong in seen_as.items():
        told = broken(check, EMPTY, replace(moment(view(SELF, seen)), retired=retired))
        assert told == ("n0 would give work to n1, which was drained and runs no more" if is_wrong else "")


def test_a_broadcast_that_arrives_twice_is_seen() -> None:
    news = BroadcastReceived(IDS["n1"], b"news")
    others = [BroadcastReceived(IDS["n2"], b"news"), BroadcastReceived(IDS["n1"], b"other")]

    assert not broken(invariants.broadcasts_arrive_once, EMPTY, moment(view(SELF, events=[news, *others])))
    told = broken(invariants.broadcasts_arrive_once, EMPTY, moment(view(SELF, events=[news, *others, news])))
    assert "b'news'" in told
    assert "2 times" in told


def test_a_datagram_above_its_limit_is_seen() -> None:
    check = invariants.datagrams_keep_their_limit

    assert not broken(check, EMPTY, moment(replace(view(SELF), largest_datagram=1400)))
    assert broken(check, EMPTY, moment(replace(view(SELF), largest_datagram=1401)))


def test_a_table_above_its_bound_is_seen() -> None:
    small = CONFIG.replace(max_members=2, max_streams_out=4)
    full = replace(view(SELF, member("n1"), member("n2")), config=small, exchanges=5)

    told = broken(invariants.tables_keep_their_bounds, EMPTY, moment(full))

    assert told == "n0 has 3 members, the bound is 2; n0 has 5 stream exchanges, the bound is 4"


def test_a_reply_storm_is_seen() -> None:
    before = moment(view(SELF))

    def after(datagrams: int) -> Moment:
        return moment(replace(view(SELF), datagrams_out=datagrams), time=2.0)

    assert not broken(invariants.replies_never_storm, before, after(100))
    assert broken(invariants.replies_never_storm, before, after(10_000)).startswith("n0 sent 10000 datagrams")


def test_a_node_may_answer_at_once_what_waited() -> None:
    before = moment(replace(view(SELF), waiting=500))
    after = moment(replace(view(SELF), datagrams_out=1000), time=2.0)

    assert not broken(invariants.replies_never_storm, before, after)


def test_views_that_do_not_agree_are_seen() -> None:
    one, other = view(SELF, member("n1")), view(SELF, member("n1"), observer="n1")
    blind = view(member("n1"), observer="n1")
    believer = view(SELF, member("n1"), member("n2", SUSPECT), observer="n1")

    assert not broken(invariants.views_agree, EMPTY, moment(one, other))
    assert "n1 does not hold n0 alive; 2 different digests" in broken(invariants.views_agree, EMPTY, moment(one, blind))
    assert "n1 holds n2 suspect, which is gone" in broken(invariants.views_agree, EMPTY, moment(one, believer))
    assert not broken(invariants.views_agree, EMPTY, moment(one, other, replace(view(observer="n2"), is_member=False)))


def test_a_container_above_its_bound_is_seen() -> None:
    full = replace(view(SELF), overfull=(Holding("queued updates", 17, 16),))

    told = broken(invariants.everything_kept_is_bounded, EMPTY, moment(full))

    assert told == "n0 has 17 queued updates, the bound is 16"


def test_a_queue_that_lost_its_bound_is_seen_in_a_cluster_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GossipQueue, "_drop_least_urgent", lambda _queue: None)
    cluster = SimCluster(nodes=3, config=CONFIG.replace(gossip_queue_limit=16))
    cluster.start_all()
    cluster.run(5.0)
    for number in range(20):
        cluster.node("n1").broadcast(bytes(1000 + number))

    with pytest.raises(InvariantViolated, match="n1 has 20 queued updates, the bound is 16"):
        cluster.check()


def test_a_table_that_takes_new_slots_for_all_who_come_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemberTable._store

    def store_anew(table: MemberTable, *columns: Any) -> Sequence[int]:
        table._free = []
        return store(table, *columns)

    monkeypatch.setattr(MemberTable, "_store", store_anew)
    cluster = SimCluster(nodes=3)
    cluster.start_all()
    cluster.run(5.0)
    cluster.restart("n2")

    with pytest.raises(InvariantViolated, match="has 4 slots of the table, the bound is 3"):
        cluster.run(5.0)


@pytest.mark.parametrize("number", range(5))
def test_regular_checks_take_stock_of_every_node_in_turn(number: int) -> None:
    cluster = SimCluster(nodes=5)
    cluster.start_all()
    cluster.node(f"n{number}").inbox_limit = -1

    with pytest.raises(InvariantViolated, match=f"n{number} has 0 datagrams that wait, the bound is -1"):
        cluster.run(4.0)


def test_who_was_rightly_held_dead_before_it_left_is_no_leaver_that_was_reported_failed() -> None:
    cluster = SimCluster(nodes=5, seed=1, formed=True, check_every=60.0)
    cluster.start_all()
    cluster.run(10.0)
    cluster.freeze("n1")
    assert cluster.run_until(lambda: len(cluster.observed(MemberFailed, about="n1")) == 4, at_most=30.0)
    cluster.thaw("n1")
    cluster.run(0.1)
    cluster.leave("n1")

    cluster.check()
