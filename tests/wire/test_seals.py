import pytest

from shoal.keys import ClusterKey
from shoal.wire.envelope import Channel, Opener, Sealer
from shoal.wire.keyring import Keyring
from shoal.wire.seals import Suite, forget_seals, make_seal

KEY, OTHER = ClusterKey(b"k" * 32), ClusterKey(b"o" * 32)
SALT = b"s" * 16


@pytest.mark.parametrize("suite", Suite)
def test_one_key_salt_and_context_make_one_seal_in_a_process(suite: Suite) -> None:
    seal = make_seal(suite, KEY, SALT, b"use")
    assert make_seal(suite, ClusterKey(KEY.secret), SALT, b"use") is seal
    sealed = seal.encrypt(bytes(12), b"hello", b"bound")
    for other in ((suite, OTHER, SALT, b"use"), (suite, KEY, b"t" * 16, b"use"), (suite, KEY, SALT, b"other use")):
        assert make_seal(*other).encrypt(bytes(12), b"hello", b"bound") != sealed


def test_a_keyring_that_changes_keeps_no_sub_keys_in_the_process() -> None:
    forget_seals()
    ring = Keyring([OTHER, KEY])
    opener = Opener(ring, "shoal", max_age=60.0, max_senders=8)
    sealer = Sealer(Keyring([KEY]), "shoal", Suite.AES_256_GCM, Channel.DATAGRAM, bytes)
    opener.open(sealer.seal(b"hello", 1_000), Channel.DATAGRAM, 1_000.0)
    assert make_seal.cache_info().currsize > 0
    ring.remove(KEY.id)
    assert make_seal.cache_info().currsize == 0
