import pytest

from shoal.errors import KeyringError
from shoal.keys import ClusterKey, KeyId
from shoal.wire.keyring import MAX_KEYS, Keyring

KEYS = [ClusterKey(bytes([number] * 32)) for number in range(MAX_KEYS + 1)]
A, B, C, *_ = KEYS


def test_the_first_key_seals_and_all_are_found() -> None:
    ring = Keyring([A, B])
    assert ring.primary is A
    assert ring.get(bytes(B.id)) is B
    assert ring.get(C.id) is None


def test_a_rotation_takes_the_old_key_away_only_after_the_new_one_seals() -> None:
    saved: list[tuple[ClusterKey, ...]] = []
    ring = Keyring([A])
    ring.subscribe(saved.append)

    ring.install(B)
    with pytest.raises(KeyringError, match="seals; use another one first"):
        ring.remove(A.id)
    ring.use(B.id)
    ring.remove(A.id)

    assert ring.ids == (B.id,)
    assert saved == [(A, B), (B, A), (B,)]


def test_operations_may_be_repeated() -> None:
    saved: list[tuple[ClusterKey, ...]] = []
    ring = Keyring([A, B])
    ring.subscribe(saved.append)
    ring.install(B)
    ring.use(A.id)
    ring.remove(C.id)
    assert saved == []


def test_what_is_not_installed_cannot_be_used() -> None:
    with pytest.raises(KeyringError, match=f"{B.id} is not in the keyring"):
        Keyring([A]).use(B.id)


def test_another_key_of_the_same_id_is_refused() -> None:
    double = ClusterKey(bytes(reversed(range(32))))
    double.id = KeyId(A.id)
    with pytest.raises(KeyringError, match="another key has the id"):
        Keyring([A]).install(double)


def test_a_ring_holds_one_key_at_least_and_a_bounded_number_at_most() -> None:
    with pytest.raises(KeyringError, match="needs a key"):
        Keyring([])
    with pytest.raises(KeyringError, match="at most 16"):
        Keyring(KEYS)
    with pytest.raises(KeyringError, match="twice"):
        Keyring([A, A])
    with pytest.raises(KeyringError, match="which is the limit"):
        Keyring(KEYS[:MAX_KEYS]).install(KEYS[MAX_KEYS])


def test_a_removed_key_is_not_taken_from_who_hands_it_over() -> None:
    ring = Keyring([A])
    ring.accept(B)
    ring.accept(B)
    ring.remove(B.id)
    ring.remove(C.id)
    for removed in (B, C):
        with pytest.raises(KeyringError, match=f"{removed.id} was removed"):
            ring.accept(removed)
    assert ring.ids == (A.id,)


def test_a_removed_key_can_be_installed_again() -> None:
    ring = Keyring([A, B])
    ring.remove(B.id)
    ring.install(B)
    ring.accept(B)
    assert ring.ids == (A.id, B.id)


def test_a_ring_begins_with_what_was_removed_before() -> None:
    with pytest.raises(KeyringError, match="was removed"):
        Keyring([A], removed=[B.id]).accept(B)


def test_a_bounded_number_of_removed_keys_is_remembered() -> None:
    ring = Keyring([A])
    for number in range(1000):
        ring.remove(KeyId(number.to_bytes(4, "big")))
    assert len(ring.removed) == 64


def test_a_ring_shows_ids_only() -> None:
    assert repr(Keyring([A, B])) == f"Keyring({A.id}, {B.id})"
