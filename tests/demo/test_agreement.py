import pytest

from shoal.agent import schema
from shoal.demo.agreement import disagreements

NAMES = ["a", "b", "c"]


def member(name: str, state: schema.State = "alive", run: str = "1") -> schema.Member:
    return schema.Member(
        name=name, id=f"{name}-{run}", address="127.0.0.1:1", state=state, incarnation=0, tags={}, age=0.0
    )


def test_complete_and_equal_views_agree() -> None:
    view = [member("a"), member("b"), member("c", "left")]
    assert disagreements({"a": view, "b": view}, NAMES) == []


def test_the_old_run_of_a_restarted_node_may_be_remembered_dead() -> None:
    view = [member("a", run="2"), member("a", "dead"), member("b")]
    assert disagreements({"a": view, "b": view}, NAMES) == []


def test_strangers_do_not_matter() -> None:
    view = [member("a"), member("b")]
    assert disagreements({"a": view, "b": [*view, member("visitor")]}, NAMES) == []


@pytest.mark.parametrize(
    ("held", "problem"),
    [
        ([member("b")], "b misses a"),
        ([member("a", "suspect"), member("b")], "b holds a suspect"),
        ([member("a", "dead"), member("b")], "b misses a"),
        ([member("a", run="2"), member("b")], "b holds another run of a"),
        ([member("a"), member("b"), member("c")], "b still holds c alive"),
    ],
)
def test_whatever_differs_is_said(held: list[schema.Member], problem: str) -> None:
    assert disagreements({"a": [member("a"), member("b")], "b": held}, NAMES) == [problem]
