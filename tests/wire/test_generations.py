from hypothesis import given
from hypothesis import strategies as st

from shoal.wire.generations import Generations

SIZE = 4


@given(st.lists(st.integers(0, 20), max_size=200))
def test_the_last_keys_asked_for_are_there_and_the_table_is_bounded(asked: list[int]) -> None:
    table: Generations[int] = Generations(SIZE)
    recent: list[int] = []
    for number in asked:
        key = bytes([number])
        found = table.get(key)
        assert found in {None, number}
        assert found == number or number not in recent[-SIZE:]
        if found is None:
            table.put(key, number)
        recent = [each for each in recent if each != number] + [number]
        assert len(table) <= 2 * SIZE


def test_what_is_forgotten_is_handed_over_once() -> None:
    forgotten: list[bytes] = []
    table: Generations[int] = Generations(2, forgotten.extend)
    for number in range(6):
        table.put(bytes([number]), number)
    assert forgotten == [b"\0", b"\1"]
    table.clear()
    assert sorted(forgotten) == [bytes([number]) for number in range(6)]
    assert len(table) == 0
