"""How often news is told on."""

from collections.abc import Iterable
from typing import Any

import pytest

from shoal.types import NodeId
from shoal.wire.messages import Alive, Dead, Left, Ping, Suspect, Update
from tests.swim.harness import Solo, address_of, info_of, node_id

SUBJECT = node_id(1)


def _tellings(first: Update, *heard: Update, **settings: Any) -> int:
    """How often `first` goes out after it was heard, followed by `heard`, in a cluster of thirty that pings us."""
    fixed: dict[str, Any] = {"gossip_rounds": 1, "doubt_deaths": False, "probe_interval": 60.0}
    solo = Solo(**{**fixed, "gossip_feedback": True, **settings})
    solo.meet(*range(1, 31))
    solo.sleep(20.0)
    solo.quiet()
    solo.hear(first)
    for update in heard:
        solo.hear(update)
    solo.sleep(3.0)
    for number in range(10):
        solo.receive(Ping(number, 0, node_id(2), solo.info.id), source=address_of(2))
    return sum(type(first) in map(type, packet.updates) for packet in solo.sent())


def _accusers(updates: Iterable[Update]) -> set[NodeId]:
    return {update.accuser for update in updates if isinstance(update, Suspect)}


def test_a_verdict_that_is_heard_again_is_told_less() -> None:
    news = Dead(SUBJECT, 0, node_id(5))
    alone = _tellings(news)
    assert alone == 8
    assert _tellings(news, news, news, news) == alone - 3


def test_however_often_it_is_heard_its_rounds_are_made() -> None:
    news = Dead(SUBJECT, 0, node_id(5))
    assert _tellings(news, *[news] * 20) == 3


def test_without_feedback_it_is_told_as_often() -> None:
    news = Dead(SUBJECT, 0, node_id(5))
    assert _tellings(news, news, news, news, gossip_feedback=False) == _tellings(news)


def test_a_death_is_the_same_news_whoever_declared_it() -> None:
    deaths = [Dead(SUBJECT, 0, node_id(accuser)) for accuser in (5, 6, 7, 8)]
    assert _tellings(*deaths) == _tellings(deaths[0]) - 3


@pytest.mark.parametrize("news", [Alive(info_of(1, tag="new"), 1), Alive(info_of(1), 1), Left(SUBJECT, 0)])
def test_any_word_of_its_own_that_is_heard_again_is_told_less(news: Alive | Left) -> None:
    assert _tellings(news, news, news, news) == _tellings(news) - 3


def test_an_older_word_is_other_news() -> None:
    newer, older = Alive(info_of(1, tag="new"), 2), Alive(info_of(1), 1)
    assert _tellings(newer, older, older, older) == _tellings(newer)


def test_a_confirmation_is_told_half_as_often_as_a_suspicion() -> None:
    first, second = Suspect(SUBJECT, 0, node_id(5)), Suspect(SUBJECT, 0, node_id(6))
    slow: dict[str, Any] = {"lha_suspicion": True, "suspicion_alpha": 50.0, "gossip_fanout": 1}
    solo = Solo(gossip_feedback=True, probe_interval=60.0, **slow)
    solo.meet(*range(1, 31))
    solo.hear(first)
    solo.sleep(20.0)
    solo.quiet()
    solo.hear(second)
    solo.sleep(3.0)
    confirmations = sum(second.accuser in _accusers(packet.updates) for packet in solo.sent())
    assert 0 < confirmations == _tellings(first, **slow) // 2
