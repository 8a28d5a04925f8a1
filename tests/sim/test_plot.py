from xml.etree import ElementTree

from shoal.sim.plot import svg
from shoal.sim.runner import FixedRecipe, PresetRecipe, Trial, run_seed
from shoal.sim.scenario import Scenario
from shoal.sim.steps import StartAll, Wait

NAMESPACE = "{http://www.w3.org/2000/svg}"


def drawn(trial: Trial, *seeds: int) -> ElementTree.Element:
    text = svg("a <title> & more", [run_seed(trial, seed) for seed in seeds])
    return ElementTree.fromstring(text)


def texts(picture: ElementTree.Element) -> list[str]:
    return ["".join(element.itertext()) for element in picture.iter(f"{NAMESPACE}text")]


def test_a_picture_has_curves_of_detection_and_dissemination() -> None:
    picture = drawn(Trial(PresetRecipe("crash", nodes=6)), 1, 2, 3)

    paths = [element.get("d", "") for element in picture.iter(f"{NAMESPACE}path")]
    assert [path.count("V") > 0 for path in paths] == [True, True, True]
    assert {"a <title> & more", "first observer", "all observers", "observers that know"} <= set(texts(picture))


def test_curves_of_outages_that_all_noticed_end_at_the_top() -> None:
    picture = drawn(Trial(PresetRecipe("crash", nodes=6)), 1, 2, 3)

    ends = {element.get("d", "").split("V")[-1].split("H")[0] for element in picture.iter(f"{NAMESPACE}path")}
    assert ends == {"76.0"}


def test_the_timeline_of_one_seed_says_what_happened_when() -> None:
    picture = drawn(Trial(PresetRecipe("crash", nodes=6), timeline_of=2), 1, 2)

    said = ["".join(element.itertext()) for element in picture.iter(f"{NAMESPACE}rect")]
    assert any("crash n" in text for text in said)
    assert any("failed at" in text for text in said)
    assert any(text.startswith("Timeline of seed 2") for text in texts(picture))


def test_where_nothing_was_detected_the_picture_says_so() -> None:
    picture = drawn(Trial(FixedRecipe(Scenario(0, 2, (StartAll(), Wait(1.0)))), timeline_of=1), 1)

    assert texts(picture).count("nothing was detected") == 2
    assert not list(picture.iter(f"{NAMESPACE}path"))


def test_a_picture_loads_nothing() -> None:
    text = svg("t", [run_seed(Trial(PresetRecipe("crash", nodes=4)), 1)])

    assert "href" not in text
    assert text.count("http") == 1  # the name of the format
