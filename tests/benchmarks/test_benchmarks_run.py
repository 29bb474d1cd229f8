"""The benchmarks still run: the smallest day."""

from pathlib import Path

from tests.benchmarks.__main__ import main


def test_a_tiny_day(tmp_path: Path) -> None:
    (report,) = main(["day", "--size", "0.001", "--folder", str(tmp_path)])
    night, floor = report.measured["night"], report.measured["floor"]
    assert night["problems"] == []
    assert night["rows_in"] == night["rows_accepted"] >= 1_500
    assert floor["rows_copied"] == sum(
        table["rows_added"] for table in night["tables"] if table["table"].startswith("fct_")
    )
    assert floor["rows_read"] >= night["rows_in"]
    for step in ("pull", "stage", "gate extracts", "accept", "build", "gate slices", "publish"):
        assert night["steps"][step]["calls"] > 0, step
    assert report.checks[0].value > 0
    assert list((tmp_path / "results").glob("day-*.json"))
    assert not list((tmp_path / "work").iterdir())
