from random import Random

import pytest

from shoal.config import ClusterConfig
from shoal.swim.agreement import WINDOW, Agreement
from shoal.swim.context import Context
from shoal.wire.messages import Ack, Ping
from tests.swim.harness import DIALECT, Solo, address_of, node_id

OURS, OTHER = 0, 12345


def _agreement(threshold: int = 5) -> Agreement:
    return Agreement(Context(ClusterConfig(sync_threshold=threshold), DIALECT, Random(1)))


def _note(agreement: Agreement, *digests: int) -> Agreement:
    for digest in digests:
        agreement.note(digest)
    return agreement


def test_nothing_is_wanting_before_enough_packets_differ() -> None:
    agreement = _note(_agreement(5), *[OTHER] * 4)
    assert not agreement.is_wanting
    assert _note(agreement, OTHER).is_wanting


def test_one_equal_digest_takes_one_other_back_and_no_more() -> None:
    agreement = _note(_agreement(3), OTHER, OTHER, OURS, OTHER)
    assert not agreement.is_wanting
    assert _note(agreement, OTHER).is_wanting
    agreement = _note(_agreement(3), *[OURS] * 100, OTHER, OTHER)
    assert not agreement.is_wanting


def test_differences_that_are_to_be_expected_count_less() -> None:
    agreement = _agreement(2)
    for _ in range(7):
        agreement.note(OTHER, is_expected=True)
    assert not agreement.is_wanting
    agreement.note(OTHER, is_expected=True)
    assert agreement.is_wanting


def test_the_count_begins_anew_once_something_is_done() -> None:
    agreement = _note(_agreement(2), OTHER, OTHER)
    agreement.begin_anew()
    assert not _note(agreement, OTHER).is_wanting


def test_the_share_is_unknown_before_the_first_probe_and_then_of_the_last_ones() -> None:
    assert _agreement().share is None
    agreement = _agreement()
    agreement.note_probe(OURS)
    assert agreement.share == 1.0
    agreement.note_probe(OTHER)
    assert agreement.share == 0.5
    for _ in range(WINDOW - 1):
        agreement.note_probe(OTHER)
    assert agreement.share == 0.0
    for _ in range(WINDOW):
        agreement.note_probe(OURS)
    assert agreement.share == 1.0


@pytest.mark.parametrize(("digest", "share"), [(OTHER, 0.0), (None, 1.0)])
def test_acks_of_our_own_probes_are_what_the_share_is_taken_of(digest: int | None, share: float) -> None:
    solo = Solo()
    solo.start()
    solo.meet(1)
    solo.receive(Ping(1, OTHER, node_id(1), solo.info.id), source=address_of(1))
    assert solo.core.agreement is None
    ping = solo.quiet().sleep_until_sent(Ping)
    solo.receive(Ack(ping.message.seq, solo.core.digest if digest is None else digest, node_id(1)))
    assert solo.core.stats.probes_agreed == share
    assert solo.core.agreement == share
