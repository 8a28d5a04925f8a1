import pytest

from shoal.config import ClusterConfig
from shoal.state.precedence import pack
from shoal.state.table import MemberTable
from shoal.swim.contact import Contact
from shoal.types import MemberState
from tests.swim.harness import RECORDS, info_of


def _contact(members: int, patience: float = 30.0) -> Contact:
    table = MemberTable(b"shoal", RECORDS)
    for number in range(members):
        table.add(info_of(number), pack(0, MemberState.ALIVE), 0.0)
    return Contact(ClusterConfig(withhold_verdicts=patience), table)


def test_contact_is_lost_when_nobody_was_heard_since() -> None:
    contact = _contact(3)
    contact.note(10.0)
    assert not contact.is_lost(9.9, 11.0)
    assert contact.is_lost(10.0, 11.0)


def test_after_its_patience_a_node_trusts_its_own_verdicts_again() -> None:
    contact = _contact(3, patience=30.0)
    contact.note(10.0)
    assert contact.is_lost(35.0, 40.0)
    assert not contact.is_lost(35.0, 40.1)


@pytest.mark.parametrize(("members", "lost"), [(2, False), (3, True)])
def test_only_one_suspect_and_nobody_else_to_hear_proves_nothing_about_us(members: int, lost: bool) -> None:
    contact = _contact(members)
    contact.note(1.0)
    assert contact.is_lost(2.0, 3.0) is lost


def test_a_node_that_never_heard_anybody_has_lost_no_contact() -> None:
    assert not _contact(3).is_lost(2.0, 3.0)
