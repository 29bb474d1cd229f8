"""The short scorecard: its course, its figures, its colours."""

from datetime import date

import pytest
from rich.console import Console

from flows.io.headlines import Headline
from flows.scorecard import figure, scorecard, sparkline


@pytest.mark.parametrize(
    ("values", "bars"), [((0, 7), "▁█"), ((1, 2, 3, 4, 5, 6, 7, 8), "▁▂▃▄▅▆▇█"), ((3, 3), "▁▁"), ((-1,), "▁")]
)
def test_a_course_goes_from_the_least_to_the_greatest(values: tuple[float, ...], bars: str) -> None:
    assert sparkline(values) == bars


@pytest.mark.parametrize(
    ("value", "said"), [(0.123, "0.12"), (99.75, "99.75"), (100.04, "100.0"), (-1234567.8, "-1,234,568"), (0, "0.00")]
)
def test_figures_have_about_four_digits(value: float, said: str) -> None:
    assert figure(value) == said


def test_a_line_says_value_target_change_status_and_course() -> None:
    ppm = Headline("Rejects", "ppm", "lower", "week", date(2026, 3, 15), 5000, "red", (4000.0, 9000.0), 4000.0)
    new = Headline("Stock", "EUR", "lower", "month", date(2026, 3, 31), None, None, (7.0,), None)
    console = Console(width=180)
    with console.capture() as said:
        console.print(scorecard([ppm, new]))
    _, _, first, second = said.get().splitlines()
    assert first.split() == ["Rejects", "week", "to", "15", "Mar", "ppm", "9,000", "5,000", "+5,000", "red", "▁█"]
    assert second.split() == ["Stock", "Mar", "2026", "EUR", "7.00", "▁"]
