import io

import msgspec
from rich.console import Console

from shoal.agent import schema
from shoal.config import Profile
from shoal.demo.acts import script
from shoal.demo.director import Outcome
from shoal.demo.processes import AgentPool
from shoal.demo.reporter import Stage
from shoal.demo.sightings import Sight, Sighting
from shoal.demo.summary import print_summary, report_of
from shoal.demo.timeline import Performance, Timeline

NAMES = ["a", "b", "c"]
VIEW = [
    schema.Member(name=name, id=name, address="127.0.0.1:1", state="alive", incarnation=0, tags={}, age=0.0)
    for name in NAMES
]


def stage_with(*sightings: Sighting) -> Stage:
    timeline = Timeline()
    timeline.add(sightings)
    return Stage(NAMES, script(NAMES)[:2], Profile.LOCAL, AgentPool(Profile.LOCAL), timeline)


def outcome_of(stage: Stage) -> Outcome:
    kill = Performance(stage.acts[1], 1.0)
    return Outcome([(kill, stage.timeline.verdict(kill))], [], {"a": VIEW, "c": VIEW}, [], {"a": 1.0, "c": 0.5})


def summary_of(stage: Stage) -> str:
    out = io.StringIO()
    print_summary(outcome_of(stage), stage, Console(file=out, width=100))
    return out.getvalue()


SEEN_BY_A = Sighting(3.0, "a", Sight.FAILED, "b", "run")
SEEN_BY_C = Sighting(4.0, "c", Sight.FAILED, "b", "run")


def test_a_success_tells_every_delay_and_the_final_view() -> None:
    text = summary_of(stage_with(SEEN_BY_A, SEEN_BY_C))
    assert "failed on 2 nodes after 2.000 s (a) to 3.000 s (c)" in text
    assert "2.500" in text  # the median
    assert "the same on all 2 running nodes" in text
    assert "75% of the last probes met an equal view, 50% on the node with the fewest" in text
    assert "Everything that was announced was observed." in text


def test_a_failure_names_what_was_not_observed_and_claims_no_success() -> None:
    text = summary_of(stage_with(SEEN_BY_A))
    assert "Not as announced: kill: c did not report b failed" in text
    assert "Everything" not in text


def test_the_report_says_the_same_to_programs() -> None:
    stage = stage_with(SEEN_BY_A)
    report = msgspec.json.decode(msgspec.json.encode(report_of(outcome_of(stage), stage)))
    assert report["success"] is False
    assert report["failures"] == ["kill: c did not report b failed"]
    assert report["acts"][0]["observed"] is False
    assert report["acts"][0]["delays"] == {"a": 2.0}
    assert report["agreement"] == {"a": 1.0, "c": 0.5}
    assert report["timeline"] == [
        {"at": 3.0, "observer": "a", "event": "member_failed", "member": "b", "id": "run", "accusers": []}
    ]


def test_an_outcome_with_unplayed_acts_or_differing_views_is_no_success() -> None:
    stage = stage_with(SEEN_BY_A, SEEN_BY_C)
    success = outcome_of(stage)
    assert success.is_success
    assert not Outcome(success.performances, stage.acts[:1], success.views, [], {}).is_success
    assert not Outcome(success.performances, [], success.views, ["a misses c"], {}).is_success
