import pytest

from shoal.config import ClusterConfig
from shoal.swim.sends import eager_sends, retransmit_limit


@pytest.mark.parametrize(
    ("members", "limit"), [(1, 4), (8, 4), (9, 4), (10, 8), (99, 8), (100, 12), (1_000, 16), (10_000, 20)]
)
def test_an_update_is_sent_as_often_as_memberlist_sends_it(members: int, limit: int) -> None:
    assert retransmit_limit(ClusterConfig(retransmit_mult=4), members) == limit


def test_an_update_gets_as_many_packets_as_its_rounds_have() -> None:
    assert eager_sends(ClusterConfig(gossip_rounds=2, gossip_fanout=4)) == 8
