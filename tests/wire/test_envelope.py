from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.config import Encryption
from shoal.keys import ClusterKey
from shoal.wire import envelope
from shoal.wire.envelope import OVERHEAD, Channel, Opener, OpenError, Sealer, SealFlaw, channel_of, position_of
from shoal.wire.keyring import Keyring
from shoal.wire.replay import WINDOW
from shoal.wire.seals import Suite

KEY, OTHER = ClusterKey(bytes(range(32))), ClusterKey(bytes(32))
NOW = 1_800_000_000
MAX_AGE = 60.0

messages = st.binary(max_size=300)
suites = st.sampled_from(Suite)


def salts() -> Callable[[int], bytes]:
    numbers = count()
    return lambda size: next(numbers).to_bytes(size)


def sealer(
    *keys: ClusterKey, suite: Suite = Suite.AES_256_GCM, channel: Channel = Channel.DATAGRAM, cluster: str = "shoal"
) -> Sealer:
    return Sealer(Keyring(keys or [KEY]), cluster, suite, channel, salts())


def opener(*keys: ClusterKey, cluster: str = "shoal", max_senders: int = 100) -> Opener:
    return Opener(Keyring(keys or [KEY]), cluster, max_age=MAX_AGE, max_senders=max_senders)


def flaw_of(data: bytes, *, by: Opener | None = None, now: float = NOW, **how: Any) -> SealFlaw:
    with pytest.raises(OpenError) as caught:
        (by or opener()).open(data, how.pop("channel", Channel.DATAGRAM), now, **how)
    return caught.value.flaw


# There and back


@given(messages, suites, st.sampled_from(Channel), messages)
def test_what_was_sealed_opens(message: bytes, suite: Suite, channel: Channel, bound: bytes) -> None:
    sealed = sealer(suite=suite, channel=channel).seal(message, NOW, bound=bound)
    assert len(sealed) == len(message) + OVERHEAD
    assert channel_of(sealed) is channel
    opened, sender = opener().open(sealed, channel, NOW, bound=bound)
    assert opened == message
    assert sender.key_id == KEY.id


@pytest.mark.parametrize("suite", [Suite.AES_256_GCM, Suite.CHACHA20_POLY1305])
def test_encryption_hides_the_message(suite: Suite) -> None:
    secret = b"a message that nobody else may read"
    assert secret not in sealer(suite=suite).seal(secret, NOW)


def test_authentication_alone_leaves_the_message_readable() -> None:
    assert b"a message" in sealer(suite=Suite.HMAC_SHA256).seal(b"a message", NOW)


def test_every_setting_has_a_suite() -> None:
    assert {Suite.of(encryption) for encryption in Encryption} == set(Suite)


# What is not genuine


@given(messages, suites, st.data())
def test_no_bit_may_be_changed(message: bytes, suite: Suite, data: st.DataObject) -> None:
    sealed = bytearray(sealer(suite=suite).seal(message, NOW))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    flaw_of(bytes(sealed))


@given(messages, suites, st.data())
def test_no_byte_may_be_missing_or_added(message: bytes, suite: Suite, data: st.DataObject) -> None:
    sealed = sealer(suite=suite).seal(message, NOW)
    flaw_of(sealed[: data.draw(st.integers(0, len(sealed) - 1))])
    flaw_of(sealed + data.draw(st.binary(min_size=1, max_size=20)))


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_flaw(data: bytes) -> None:
    flaw_of(data)


def test_what_is_plain_is_told_apart() -> None:
    assert flaw_of(b"\1" + bytes(60)) is SealFlaw.NOT_SEALED
    assert channel_of(b"\1" + bytes(60)) is None
    assert channel_of(b"\xf1" + bytes(60)) is None


@pytest.mark.parametrize("suite", Suite)
def test_another_key_is_told_apart_without_trying(suite: Suite) -> None:
    assert flaw_of(sealer(OTHER, suite=suite).seal(b"x", NOW)) is SealFlaw.UNKNOWN_KEY


@pytest.mark.parametrize("suite", Suite)
def test_another_cluster_with_the_same_key_is_refused(suite: Suite) -> None:
    assert flaw_of(sealer(suite=suite, cluster="other").seal(b"x", NOW)) is SealFlaw.BAD_TAG


@pytest.mark.parametrize("suite", Suite)
def test_another_channel_is_refused_also_when_relabelled(suite: Suite) -> None:
    sealed = sealer(suite=suite).seal(b"x", NOW)
    assert flaw_of(sealed, channel=Channel.REQUEST) is SealFlaw.NOT_SEALED
    relabelled = bytes([sealed[0] | Channel.REQUEST << 4]) + sealed[1:]
    assert flaw_of(relabelled, channel=Channel.REQUEST) is SealFlaw.BAD_TAG


def test_a_reply_opens_as_the_answer_to_its_own_request_only() -> None:
    reply = sealer(channel=Channel.REPLY).seal(b"x", NOW, bound=b"one request")
    assert flaw_of(reply, channel=Channel.REPLY, bound=b"another request") is SealFlaw.BAD_TAG


# Keys


def test_the_first_key_seals_and_every_key_opens() -> None:
    ring = Keyring([KEY])
    seals = Sealer(ring, "shoal", Suite.AES_256_GCM, Channel.DATAGRAM, salts())
    everything = opener(OTHER, KEY)
    before = seals.seal(b"x", NOW)
    ring.install(OTHER)
    ring.use(OTHER.id)
    after = seals.seal(b"x", NOW)
    assert [everything.open(data, Channel.DATAGRAM, NOW)[1].key_id for data in (before, after)] == [KEY.id, OTHER.id]


def test_a_removed_key_opens_nothing_more() -> None:
    ring = Keyring([OTHER, KEY])
    opens = Opener(ring, "shoal", max_age=MAX_AGE, max_senders=10)
    seals = sealer()
    opens.open(seals.seal(b"x", NOW), Channel.DATAGRAM, NOW)
    ring.remove(KEY.id)
    assert flaw_of(seals.seal(b"x", NOW), by=opens) is SealFlaw.UNKNOWN_KEY


def test_a_sender_that_was_heard_before_a_change_of_keys_is_told_from_a_newcomer() -> None:
    ring = Keyring([KEY])
    opens = Opener(ring, "shoal", max_age=MAX_AGE, max_senders=10)
    present, newcomer = sealer(), sealer(KEY)
    newcomer.renew()
    opens.open(present.seal(b"x", NOW), Channel.DATAGRAM, NOW)
    ring.install(OTHER)
    heard = [opens.open(each.seal(b"x", NOW), Channel.DATAGRAM, NOW)[1] for each in (present, newcomer)]
    assert [sender.changes_before == ring.changes for sender in heard] == [False, True]


def test_a_message_can_be_sealed_with_another_key_of_the_ring() -> None:
    seals = sealer(KEY, OTHER)
    sealed = [seals.seal(b"x", NOW, key=key) for key in (OTHER, None, OTHER)]
    opens = opener(KEY, OTHER)
    assert [opens.open(data, Channel.DATAGRAM, NOW)[1].key_id for data in sealed] == [OTHER.id, KEY.id, OTHER.id]


# Nonces


def test_no_two_messages_share_a_nonce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "MAX_COUNT", 3)
    ring = Keyring([KEY])
    seals = Sealer(ring, "shoal", Suite.AES_256_GCM, Channel.DATAGRAM, salts())
    seen = set[bytes]()
    for number in range(40):
        if number == 10:
            seals.renew()
        if number == 20:
            ring.install(OTHER)
            ring.use(OTHER.id)
        if number == 30:
            ring.use(KEY.id)
        seen.add(seals.seal(b"", NOW)[1:29])
    assert len(seen) == 40


def test_a_new_salt_begins_before_the_numbers_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "MAX_COUNT", 3)
    seals = sealer()
    sealed = [seals.seal(b"x", NOW) for _ in range(9)]
    assert len({data[5:21] for data in sealed}) == 3
    opens = opener()
    assert all(opens.open(data, Channel.DATAGRAM, NOW)[0] == b"x" for data in sealed)


# Replay


def test_nothing_opens_twice() -> None:
    opens, seals = opener(), sealer()
    sealed = [seals.seal(b"x", NOW) for _ in range(5)]
    for data in reversed(sealed):
        opens.open(data, Channel.DATAGRAM, NOW)
    assert {flaw_of(data, by=opens) for data in sealed} == {SealFlaw.REPLAYED}


def test_what_came_before_is_known_after_a_change_of_keys_and_among_many_senders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(envelope, "_ACTIVE", 2)
    ring, new_salt = Keyring([KEY]), salts()
    opens = Opener(ring, "shoal", max_age=MAX_AGE, max_senders=100)
    sealed = [Sealer(ring, "shoal", Suite.AES_256_GCM, Channel.DATAGRAM, new_salt).seal(b"x", NOW) for _ in range(20)]
    for data in sealed:
        opens.open(data, Channel.DATAGRAM, NOW)
    assert {flaw_of(data, by=opens) for data in sealed} == {SealFlaw.REPLAYED}
    ring.install(OTHER)
    assert {flaw_of(data, by=opens) for data in sealed} == {SealFlaw.REPLAYED}


def test_a_forgery_uses_up_no_number() -> None:
    opens, sealed = opener(), sealer().seal(b"x", NOW)
    assert flaw_of(sealed[:-1] + bytes([sealed[-1] ^ 1]), by=opens) is SealFlaw.BAD_TAG
    assert opens.senders == 0
    assert opens.open(sealed, Channel.DATAGRAM, NOW)[0] == b"x"


def test_what_was_overtaken_too_far_is_dropped() -> None:
    opens, seals = opener(), sealer()
    sealed = [seals.seal(b"x", NOW) for _ in range(WINDOW + 1)]
    opens.open(sealed[-1], Channel.DATAGRAM, NOW)
    assert opens.open(sealed[1], Channel.DATAGRAM, NOW)[0] == b"x"
    assert flaw_of(sealed[0], by=opens) is SealFlaw.REPLAYED


@pytest.mark.parametrize("skew", [-MAX_AGE, -1.0, 0.0, 1.0, MAX_AGE])
def test_clocks_may_differ_by_the_window(skew: float) -> None:
    assert opener().open(sealer().seal(b"x", NOW), Channel.DATAGRAM, NOW + skew)[0] == b"x"


@pytest.mark.parametrize("skew", [-MAX_AGE - 1, MAX_AGE + 1, 1e9])
def test_a_node_that_restarted_refuses_what_is_older_than_the_window(skew: float) -> None:
    assert flaw_of(sealer().seal(b"x", NOW), now=NOW + skew) is SealFlaw.STALE


def test_a_message_that_was_held_back_is_refused_although_its_sender_is_known() -> None:
    opens, seals = opener(), sealer()
    opens.open(seals.seal(b"x", NOW), Channel.DATAGRAM, NOW)
    held_back = seals.seal(b"x", NOW)
    assert flaw_of(held_back, by=opens, now=NOW + MAX_AGE + 1) is SealFlaw.STALE


def test_clocks_that_drift_apart_slowly_do_no_harm() -> None:
    opens, seals = opener(), sealer()
    for day in range(30):
        sent = NOW + day * 86_400
        assert opens.open(seals.seal(b"x", sent), Channel.DATAGRAM, sent * 1.00001 - NOW * 0.00001)[0] == b"x"


def test_senders_are_remembered_in_a_bounded_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "_ACTIVE", 4)
    opens = opener(max_senders=4)
    random_salts = salts()
    for _ in range(50):
        seals = Sealer(Keyring([KEY]), "shoal", Suite.AES_256_GCM, Channel.DATAGRAM, random_salts)
        sealed = seals.seal(b"x", NOW)
        opens.open(sealed, Channel.DATAGRAM, NOW)
        assert flaw_of(sealed, by=opens) is SealFlaw.REPLAYED
    assert opens.senders <= 16


def test_answers_are_not_remembered() -> None:
    opens = opener()
    reply = sealer(channel=Channel.REPLY).seal(b"x", NOW, bound=b"request")
    opens.open(reply, Channel.REPLY, NOW, bound=b"request")
    assert opens.senders == 0


# After a restart

CHALLENGE = bytes(range(16))


def wary() -> Opener:
    by = opener()
    by.distrust(NOW, CHALLENGE)
    return by


@pytest.mark.parametrize("suite", Suite)
def test_what_is_not_later_than_the_distrust_opens_only_if_it_is_bound_to_the_challenge(suite: Suite) -> None:
    by, sender = wary(), sealer(suite=suite)
    early, late = sender.seal(b"early", NOW), sender.seal(b"late", NOW)
    assert flaw_of(early, by=by) is SealFlaw.UNPROVEN
    assert flaw_of(early, by=by) is SealFlaw.UNPROVEN  # asking changes nothing
    assert by.senders == 0
    answer = sender.seal(b"answer", NOW, bound=CHALLENGE)
    assert by.open(answer, Channel.DATAGRAM, NOW)[0] == b"answer"
    assert {flaw_of(data, by=by) for data in (early, late, answer)} == {SealFlaw.REPLAYED}
    assert by.open(sender.seal(b"x", NOW), Channel.DATAGRAM, NOW)[0] == b"x"


def test_who_is_known_may_still_answer_a_challenge() -> None:
    by, sender = wary(), sealer()
    by.open(sender.seal(b"1", NOW, bound=CHALLENGE), Channel.DATAGRAM, NOW)
    assert by.open(sender.seal(b"2", NOW, bound=CHALLENGE), Channel.DATAGRAM, NOW)[0] == b"2"
    assert flaw_of(sender.seal(b"3", NOW, bound=b"another"), by=by) is SealFlaw.BAD_TAG


def test_what_was_sealed_later_than_the_distrust_needs_no_proof() -> None:
    assert wary().open(sealer().seal(b"x", NOW + 1), Channel.DATAGRAM, NOW)[0] == b"x"


def test_an_answer_to_a_challenge_means_nothing_to_who_did_not_challenge() -> None:
    assert flaw_of(sealer().seal(b"x", NOW, bound=CHALLENGE)) is SealFlaw.BAD_TAG


def test_forgeries_are_told_apart_from_what_is_unproven() -> None:
    sealed = bytearray(sealer().seal(b"x", NOW))
    sealed[-1] ^= 1
    assert flaw_of(bytes(sealed), by=wary()) is SealFlaw.BAD_TAG


def test_of_an_introduced_sender_only_what_is_later_opens() -> None:
    by, sender = wary(), sealer()
    before = sender.seal(b"before", NOW)
    position = sender.position(NOW)
    assert position == position_of(before)
    by.introduce(position)
    assert flaw_of(before, by=by) is SealFlaw.REPLAYED
    after = sender.seal(b"after", NOW)
    assert by.open(after, Channel.DATAGRAM, NOW)[0] == b"after"
    by.introduce(position)  # which does not forget what came meanwhile
    assert flaw_of(after, by=by) is SealFlaw.REPLAYED


def test_nobody_is_introduced_under_a_key_that_is_not_there_or_for_no_use() -> None:
    by, position = wary(), sealer(OTHER).position(NOW)
    by.introduce(position)
    by.introduce(replace(sealer().position(NOW), line=b"\xff" + sealer().position(NOW).line[1:]))
    assert by.senders == 0
