from collections.abc import Iterable

from shoal.swim.join_flood import JoinFlood
from tests.swim.harness import OUR_SETTINGS, OWN, Solo, node_id


def _flood() -> tuple[JoinFlood, list[float]]:
    solo = Solo()
    flood, heard = solo.core._membership.flood, list[float]()
    flood.listeners.append(heard.append)
    return flood, heard


def _news(flood: JoinFlood, numbers: Iterable[int], now: float) -> list[int]:
    return [number for number in numbers if flood.is_news(node_id(number), now)]


def test_a_few_joins_are_told_one_by_one_however_fast_they_come() -> None:
    flood, heard = _flood()
    assert _news(flood, range(64), 0.0) == list(range(64))
    assert not flood.withheld
    assert heard == []


def test_joins_that_come_slowly_are_told_one_by_one_for_ever() -> None:
    flood, _ = _flood()
    assert all(_news(flood, [number], number / 4) for number in range(1000))


def test_of_a_flood_nothing_is_told_until_it_is_over() -> None:
    flood, heard = _flood()
    _news(flood, range(64), 0.0)
    for number in range(64, 200):
        assert _news(flood, [number], (number - 64) / 50) == []
    assert {node_id(number) for number in range(64, 200)} <= flood.withheld.keys()
    assert len(heard) == 136

    assert _news(flood, [200], 30.0) == [200]


def test_joins_that_were_told_just_before_a_flood_are_brought_too() -> None:
    solo = Solo(OWN, **OUR_SETTINGS)
    solo.meet(*range(200, 210))
    solo.sleep(20.0)
    solo.meet(*range(300, 365))
    withheld = solo.core._membership.flood.withheld.keys()
    assert withheld & {node_id(number) for number in range(200, 365)} == {node_id(number) for number in range(300, 365)}


def test_joins_in_bulk_keep_a_flood_going() -> None:
    flood, _ = _flood()
    flood.go_on(0.0)
    assert _news(flood, [1], 1.0) == []


def test_the_withheld_are_taken_once_the_oldest_first_and_may_be_given_back() -> None:
    flood, _ = _flood()
    flood.go_on(0.0)
    _news(flood, range(5), 0.0)
    assert flood.take(3) == [node_id(number) for number in range(3)]
    flood.give_back([node_id(0)])
    assert flood.take(9) == [node_id(3), node_id(4), node_id(0)]
    assert flood.take(9) == []


def test_the_withheld_have_a_bound() -> None:
    flood, _ = _flood()
    flood.go_on(0.0)
    flood.give_back(node_id(number) for number in range(5000))
    assert len(flood.withheld) == 4096
    assert node_id(0) not in flood.withheld
    assert node_id(4999) in flood.withheld


def test_members_ask_less_and_less_often_while_a_flood_lasts() -> None:
    flood, _ = _flood()
    flood.go_on(0.0)
    paces = []
    for second in range(60):
        flood.go_on(float(second))
        paces.append(flood.pace(float(second)))
    assert paces == sorted(paces)
    assert (paces[0], paces[-1]) == (5.0, 10.0)

    flood.go_on(200.0)
    assert flood.pace(200.0) == 5.0


def test_whoever_is_followed_asks_more_often() -> None:
    solo = Solo(OWN, **OUR_SETTINGS)
    flood = solo.core._membership.flood
    solo.sync_from(node_id(1))
    assert flood.pace(0.0) == 0.5
    for second in range(60):
        flood.go_on(float(second))
    assert flood.pace(59.0) == 2.5
    assert flood.pace(59.0, is_followed=False) == 10.0
