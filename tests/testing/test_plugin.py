"""The plugin, in runs of pytest of its own."""

import pytest

import shoal.testing
from shoal.testing.plugin import ClusterFactory

pytest_plugins = ["pytester"]

OPTIONS = ("-p", "no:randomly", "-p", "no:xdist", "-p", "no:asyncio", "-p", "no:cacheprovider")


@pytest.fixture
def tests(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(
        test_them="""
        def test_it_forms(shoal_cluster):
            cluster = shoal_cluster(nodes=3)
            cluster.start_all()
            assert cluster.run_until(cluster.converged, at_most=10)

        def test_of_odd_seeds_fails(shoal_cluster):
            assert shoal_cluster(nodes=2).seed % 2 == 0

        def test_without_a_cluster():
            pass
        """
    )
    return pytester


def run(tests: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return tests.runpytest_inprocess(*OPTIONS, *arguments)


def test_the_fixture_makes_clusters_of_seed_0(shoal_cluster: ClusterFactory) -> None:
    cluster = shoal_cluster(nodes=3, seeds=2)

    assert list(cluster.nodes) == ["n0", "n1", "n2"]
    assert len(cluster.node("n2").seeds) == 2


def test_each_test_with_a_cluster_runs_once_without_options(tests: pytest.Pytester) -> None:
    run(tests).assert_outcomes(passed=3)


def test_each_test_with_a_cluster_runs_with_each_seed(tests: pytest.Pytester) -> None:
    run(tests, "--shoal-seeds", "2..5").assert_outcomes(passed=4 + 2 + 1, failed=2)


def test_a_failed_seed_is_shown_with_the_way_to_run_it_again(tests: pytest.Pytester) -> None:
    result = run(tests, "--shoal-seeds", "2..4")

    result.stdout.fnmatch_lines(
        ["*seed 3; to run it again: pytest --shoal-seed 3 'test_them.py::test_of_odd_seeds_fails'"]
    )
    result.stdout.no_fnmatch_line("*seed 2; to run*")
    again = run(tests, "--shoal-seed", "3", "test_them.py::test_of_odd_seeds_fails")
    again.assert_outcomes(failed=1)


def test_a_broken_invariant_fails_the_test_at_its_end(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_it(shoal_cluster):
            cluster = shoal_cluster(nodes=2, check_every=None)
            cluster.start_all()
            cluster.run(2)
            cluster.node("n1").host.traffic.largest_datagram = 70_000
    """)

    result = run(pytester)

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*datagrams_keep_their_limit*", "*seed 0; to run it again*"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--shoal-seeds", "3"), "--shoal-seeds 3: write FIRST..LAST, as in 0..99"),
        (("--shoal-seeds", "5..3"), "--shoal-seeds 5..3: write FIRST..LAST"),
        (("--shoal-seed", "x"), "--shoal-seed x: write a whole number"),
    ],
)
def test_bad_seeds_are_refused(tests: pytest.Pytester, arguments: tuple[str, ...], said: str) -> None:
    result = run(tests, *arguments)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{said}*"])


def test_users_get_the_simulator_by_one_name() -> None:
    assert all(getattr(shoal.testing, name) for name in shoal.testing.__all__)
