from dataclasses import replace

import pytest

from shoal.study.configurations import DEFAULT, configuration
from shoal.study.lifeguard import Cell, run_interval, run_threshold
from shoal.study.processes import ProcessModel

SMALL = Cell(2, 12.0, agents=16)


@pytest.mark.parametrize("name", ["SWIM", "Lifeguard"])
def test_the_published_protocols_detect_a_blocked_agent_after_their_suspicion_time(name: str) -> None:
    outcome = run_threshold(name, SMALL)

    assert outcome.undetected == 0
    # Suspicion lasts 5 * log10(16) = 6.02 s after a probe of 1 s.
    assert all(7.0 <= one.first <= 12.0 and one.full is not None for one in outcome.detected)


def test_the_default_profile_detects_a_blocked_agent_sooner_than_swim() -> None:
    ours, theirs = (run_threshold(name, SMALL).detected for name in (DEFAULT, "SWIM"))

    assert max(one.first for one in ours) < min(one.first for one in theirs)


def test_lifeguard_accuses_fewer_healthy_agents_than_swim() -> None:
    cell = Cell(2, 8.0, 0.02, agents=16, length=30.0)

    swim, lifeguard = (run_interval(name, cell) for name in ("SWIM", "Lifeguard"))

    assert swim.false_positives > 0
    assert lifeguard.false_positives < swim.false_positives
    assert min(swim.recovered, lifeguard.recovered) >= 0


def test_a_process_that_probes_on_while_blocked_accuses_more_than_one_stuck_in_its_send() -> None:
    cell = Cell(1, 8.0, 0.02, agents=16, length=20.0)

    stuck, probing = (
        run_interval("SWIM", replace(cell, model=model)) for model in (ProcessModel.LOOPS, ProcessModel.TIMERS)
    )

    assert stuck.false_positives < probing.false_positives


def test_a_frozen_process_accuses_nobody_under_the_default_profile() -> None:
    cell = Cell(2, 8.0, 0.5, agents=16, length=20.0, model=ProcessModel.FROZEN)

    assert run_interval(DEFAULT, cell).false_positives == 0


def test_the_same_cell_gives_the_same_outcome() -> None:
    cell = Cell(2, 3.0, 0.1, agents=8, length=10.0)

    assert run_interval("Lifeguard", cell) == run_interval("Lifeguard", cell)


def test_an_unknown_configuration_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="'swim': there is none; choose from SWIM"):
        configuration("swim")
