from argparse import ArgumentTypeError

import pytest

from shoal.bench.arguments import at_least, counts, seconds, seeds, share


def test_numbers_are_read() -> None:
    assert at_least(2)("2") == 2
    assert counts(2)("2,30") == [2, 30]
    assert seconds("0.5") == 0.5
    assert share("1") == 1.0


def test_seeds_are_a_number_or_a_range() -> None:
    assert seeds("3") == range(3)
    assert seeds("5..7") == range(5, 8)


@pytest.mark.parametrize("text", ["1", "-2", "x", "", "2.5", "nan"])
def test_what_is_no_whole_number_or_too_small_is_refused_by_its_text(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=f"^'{text}' is not a whole number of 2 or more$"):
        at_least(2)(text)


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "3601", "x"])
def test_seconds_are_finite(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="from 0 to 3600"):
        seconds(text)


@pytest.mark.parametrize("text", ["0", "5..2", "a..b", "5..", ""])
def test_seeds_are_some(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        seeds(text)
