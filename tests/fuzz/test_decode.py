from itertools import islice
from random import Random

from shoal.wire.dialect import Flaw
from shoal.wire.messages import Message
from tests.fuzz.decode import datagrams, verdict


def test_no_datagram_of_the_fuzz_target_escapes_and_all_verdicts_are_met() -> None:
    verdicts = {verdict(data) for data in islice(datagrams(Random(1)), 10_000)}
    assert verdicts == {*Flaw, *(kind.__name__ for kind in Message.__args__)}


def test_one_seed_gives_the_same_datagrams() -> None:
    assert list(islice(datagrams(Random(7)), 200)) == list(islice(datagrams(Random(7)), 200))
