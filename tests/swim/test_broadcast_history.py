from shoal.swim.broadcast_history import BroadcastHistory
from tests.swim.harness import node_id

A, B = node_id(1), node_id(2)


def test_a_broadcast_is_new_once() -> None:
    history = BroadcastHistory(16)
    assert history.is_new(A, 1)
    assert not history.is_new(A, 1)


def test_broadcasts_differ_by_origin_and_by_number() -> None:
    history = BroadcastHistory(16)
    assert all(history.is_new(origin, number) for origin in (A, B) for number in (0, 1, 2**64 - 1))


def test_the_oldest_is_forgotten_first_and_a_repeat_keeps_nothing_longer() -> None:
    history = BroadcastHistory(3)
    for number in (1, 2, 3):
        history.is_new(A, number)
    assert not history.is_new(A, 1)
    assert history.is_new(A, 4)
    assert [history.is_new(A, number) for number in (3, 2, 4)] == [False, False, False]
    assert history.is_new(A, 1)
