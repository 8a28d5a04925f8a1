from array import array

from hypothesis import given
from hypothesis import strategies as st

from shoal.state.slots import array_of, with_room

many_slots = st.lists(st.integers(0, 200_000))


@given(many_slots)
def test_an_array_holds_the_slots_that_it_is_made_of(slots: list[int]) -> None:
    assert list(array_of(slots)) == slots


@given(many_slots, st.integers(0, 200_000))
def test_what_was_made_room_for_can_be_added(slots: list[int], slot: int) -> None:
    made = with_room(array_of(slots), slot)
    made.append(slot)
    assert list(made) == [*slots, slot]


def test_a_slot_takes_two_bytes_up_to_65_536_rows_and_no_more_than_four_above() -> None:
    assert array_of([65_535]).itemsize == array("H").itemsize == 2
    assert array_of([65_536]).itemsize == array("i").itemsize == 4
