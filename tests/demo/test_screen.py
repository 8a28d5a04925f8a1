import io

import pytest
from rich.console import Console

from shoal.config import Profile
from shoal.demo.acts import judge, script
from shoal.demo.processes import AgentPool
from shoal.demo.reporter import PlainReporter, Stage
from shoal.demo.screen import ScreenReporter
from shoal.demo.sightings import Sight, Sighting
from shoal.demo.timeline import Timeline


def stage_of(count: int) -> Stage:
    names = [f"node-{number}" for number in range(1, count + 1)]
    return Stage(names, script(names), Profile.LOCAL, AgentPool(Profile.LOCAL), Timeline())


def screen_of(stage: Stage, width: int, height: int) -> list[str]:
    """What a terminal of that size shows while node-2 is suspected."""
    out = io.StringIO()
    console = Console(
        file=out, width=width, height=height, force_terminal=True, color_system=None, legacy_windows=False
    )
    reporter = ScreenReporter(stage, console)
    performance = stage.timeline.begin(stage.acts[1])
    reporter.act_began(performance, 2)
    for sighting in stage.timeline.add([Sighting(0.5, "node-1", Sight.SUSPECTED, "node-2", "run", ("node-3",))]):
        reporter.sighted(sighting)
    reporter.act_ended(performance, judge(performance.act, 0.0, []))
    with reporter:
        out.seek(0)
        out.truncate()
        reporter.refresh()
        text = out.getvalue()
    return text.replace("\x1b[H", "").splitlines()


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
@pytest.mark.parametrize("count", [3, 5, 6, 12, 20])
def test_the_screen_fills_the_terminal_and_shows_every_node_and_the_latest_event(
    count: int, size: tuple[int, int]
) -> None:
    stage = stage_of(count)
    width, height = size
    lines = screen_of(stage, width, height)
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    for name in stage.names:
        assert any(line.removeprefix("│ ").startswith(f"{name} ") for line in lines)
    assert any("◐ node-2 suspected" in line for line in lines)


def test_a_wide_enough_screen_tells_the_states_in_words() -> None:
    assert any("starting" in line for line in screen_of(stage_of(5), 80, 24))


def test_the_screen_says_how_far_the_views_agree() -> None:
    stage = stage_of(5)
    assert not any("agreement" in line for line in screen_of(stage, 80, 24))
    stage.timeline.agreement = {"node-1": 1.0, "node-2": 0.75, "node-3": None}
    assert any(line.rstrip().endswith("agreement 75%") for line in screen_of(stage, 80, 24))


def test_plain_lines_say_after_each_act_how_far_the_views_agree() -> None:
    stage, out = stage_of(3), io.StringIO()
    stage.timeline.agreement = {"node-1": 1.0, "node-2": 0.5}
    performance = stage.timeline.begin(stage.acts[0])
    PlainReporter(stage, out).act_ended(performance, judge(performance.act, 0.0, []))
    assert "agreement: 75% of the last probes met an equal view, 50% on the node with the fewest" in out.getvalue()


def test_plain_lines_name_what_was_not_observed() -> None:
    stage, out = stage_of(3), io.StringIO()
    reporter = PlainReporter(stage, out)
    performance = stage.timeline.begin(stage.acts[1])
    dead = Sighting(0.5, "node-1", Sight.FAILED, "node-2", "run", ("node-3",))
    reporter.act_began(performance, 2)
    reporter.sighted(dead)
    reporter.act_ended(performance, judge(performance.act, 0.0, [dead]))
    text = out.getvalue()
    assert "act 2 of 6, kill: SIGKILL to node-2" in text
    assert "node-1 reports node-2 failed, accused by node-3" in text
    assert "NOT OBSERVED" in text
    assert "node-3 did not report node-2 failed" in text
