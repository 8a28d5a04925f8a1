import pytest

from shoal.config import ClusterConfig
from shoal.swim.sends import eager_sends, feedback_limit, retransmit_limit


@pytest.mark.parametrize(
    ("members", "limit"), [(1, 4), (8, 4), (9, 4), (10, 8), (99, 8), (100, 12), (1_000, 16), (10_000, 20)]
)
def test_an_update_is_sent_as_often_as_memberlist_sends_it(members: int, limit: int) -> None:
    assert retransmit_limit(ClusterConfig(retransmit_mult=4), members) == limit


@pytest.mark.parametrize(("members", "sends"), [(5, 3), (50, 6), (500, 9), (5_000, 9), (50_000, 9)])
def test_an_update_gets_a_round_for_each_factor_of_ten_in_members_up_to_three(members: int, sends: int) -> None:
    assert eager_sends(ClusterConfig(gossip_rounds=1, gossip_fanout=3), members) == sends


def test_a_third_of_the_sends_are_made_however_often_the_news_is_heard() -> None:
    assert [feedback_limit(limit) for limit in (1, 4, 12, 15)] == [0, 2, 8, 10]
