"""How far a long step is: chunks, rows and the time left, now and then."""

import pytest

from flows.progress import MOMENT_S, Meter


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[tuple[float, str]]:
    return []


@pytest.fixture
def meter(clock: Clock, told: list[tuple[float, str]]) -> Meter:
    """Four chunks of 1,000 rows together."""
    return Meter("Facts", 4, 1000, lambda share, text: told.append((share, text)), clock)


def test_it_says_what_is_done_and_how_long_the_rest_takes(
    meter: Meter, clock: Clock, told: list[tuple[float, str]]
) -> None:
    clock.now += 4000
    meter.advance(250, 1234)
    assert told == [(0.25, "Facts: 1 of 4 chunks, 1,234 rows, 3:20:00 left")]
    clock.now += 4000
    meter.advance(750, 1)
    assert told[1:] == [(1.0, "Facts: 2 of 4 chunks, 1,235 rows, 0:00:00 left")]


def test_what_comes_soon_after_is_not_told(meter: Meter, clock: Clock, told: list[tuple[float, str]]) -> None:
    clock.now += MOMENT_S / 2
    meter.advance(100, 1)
    assert told == []
    clock.now += MOMENT_S / 2
    meter.advance(100, 1)
    meter.advance(100, 1)
    assert len(told) == 1


def test_work_that_comes_up_meanwhile_never_makes_it_more_than_all(
    meter: Meter, clock: Clock, told: list[tuple[float, str]]
) -> None:
    clock.now += 60
    for _ in range(5):
        meter.advance(400, 10)
        clock.now += 60
    assert told[-1] == (1.0, "Facts: 5 of 5 chunks, 50 rows, 0:00:00 left")


def test_a_step_without_weight_is_done(clock: Clock, told: list[tuple[float, str]]) -> None:
    meter = Meter("Facts", 0, 0, lambda share, text: told.append((share, text)), clock)
    clock.now += 60
    meter.advance(0, 0)
    assert told == [(1.0, "Facts: 1 of 1 chunks, 0 rows, 0:00:00 left")]
