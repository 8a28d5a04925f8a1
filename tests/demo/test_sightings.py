from shoal.demo.sightings import Sight, Sighting, View
from shoal.types import MemberState


def sighting(sight: Sight, run: str = "run-1", at: float = 0.0) -> Sighting:
    return Sighting(at, "a", sight, "b", run)


def test_a_view_holds_what_was_reported_last() -> None:
    view = View()
    assert view.apply(sighting(Sight.JOINED))
    assert view.apply(sighting(Sight.SUSPECTED, at=2.0))
    seen = view.get("b")
    assert seen is not None
    assert (seen.state, seen.since) == (MemberState.SUSPECT, 2.0)


def test_what_is_held_already_is_no_news() -> None:
    view = View()
    view.apply(sighting(Sight.JOINED))
    assert not view.apply(sighting(Sight.JOINED, at=1.0))
    assert not view.apply(sighting(Sight.RECOVERED, at=1.0))


def test_a_newer_run_takes_the_place_of_an_older_one_and_keeps_it() -> None:
    view = View()
    view.apply(sighting(Sight.FAILED, run="run-1"))
    assert view.apply(sighting(Sight.JOINED, run="run-2"))
    assert not view.apply(sighting(Sight.FAILED, run="run-1"))
    seen = view.get("b")
    assert seen is not None
    assert (seen.run, seen.state) == ("run-2", MemberState.ALIVE)


def test_every_state_has_a_sight_that_leads_to_it() -> None:
    for state in MemberState:
        assert Sight.of_state(state).state is state
