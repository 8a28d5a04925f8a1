from shoal.net.steady_clock import SteadyClock


class Clocks:
    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.uptime = 500.0

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.uptime += seconds

    def steady(self) -> SteadyClock:
        return SteadyClock(wall=lambda: self.wall, uptime=lambda: self.uptime)


def test_it_shows_the_time_of_day_and_goes_on_with_it() -> None:
    clocks = Clocks()
    steady = clocks.steady()
    clocks.pass_time(3600)
    assert steady.now() == 1_800_003_600.0


def test_a_clock_that_is_set_moves_it_only_when_asked() -> None:
    clocks = Clocks()
    steady = clocks.steady()
    clocks.wall -= 7200
    assert steady.now() == 1_800_000_000.0
    assert steady.reset()
    assert steady.now() == 1_799_992_800.0


def test_small_differences_are_no_reason_to_move() -> None:
    clocks = Clocks()
    steady = clocks.steady()
    clocks.wall += 0.9
    assert not steady.reset()
    assert steady.now() == 1_800_000_000.0


def test_the_systems_clocks_serve_by_default() -> None:
    steady = SteadyClock()
    assert steady.now() <= steady.now()
