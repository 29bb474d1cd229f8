"""What a card may say: SQL over one row that cannot do harm, and what a file's author is told."""

from pathlib import Path

import pytest
import yaml

from flows.io.metric_files import CARDS, load, load_card
from schemas.catalog import FACTS
from schemas.errors import MetricError
from schemas.metric_sql import canonical

COLUMNS = FACTS["fct_purchase_order_line"].contract.dtypes()
GOOD = {
    "line_count": "line_count",
    '"line_count"': '"line_count"',
    "line_count / 2": "CAST((line_count) AS DECIMAL) / 2",
    "ordered_qty / nullif(received_qty, 0)": "CAST((ordered_qty) AS DECIMAL) / NULLIF(received_qty, 0)",
    "last_received_on - promised_on": "last_received_on - promised_on",
    "case when is_cancelled then 0 else - line_count end": "CASE WHEN is_cancelled THEN 0 ELSE -line_count END",
    "not is_cancelled and status in ('open', 'unknown')": "NOT is_cancelled AND status IN ('open', 'unknown')",
    "promised_on < '2026-02-01'": "promised_on < '2026-02-01'",
    "coalesce(received_qty, 0) between 1 and greatest(2, line_count) -- why": "COALESCE(received_qty, 0) BETWEEN 1 AND"
    " GREATEST(2, line_count)",
}  # fmt: skip
BAD = (
    "", "nothing", "x.line_count", "*", "count(*)", "sum(line_count)", "sum(line_count) over ()", "pg_sleep(1)",
    "random()", "now()", "current_user", "(select 1)", "line_count in (select 1)", "line_count; drop table x",
    "line_count from pg_authid", "line_count, line_count", "distinct line_count", "line_count limit 1",
    "line_count as x", "line_count::text", "cast(status as integer)", "1 / 0", "line_count / received_qty",
    "line_count / (1 - 1)", "status ~ 'a'", "status like 'a%'", "$1", "array[1]", "line_count +",
    "line_count) from x where (true", "e'x'", "line_count /* x */ union select 1", "promised_on < 'today'",
    "promised_on in (' NOW ')", "promised_on between 'yesterday' and 'tomorrow10:00'", "current_date", "localtimestamp",
    "coalesce(ordered_qty, 'NaN')", "greatest(ordered_qty, ' -inf ')", "promised_on < 'Infinity'",
)  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_what_is_allowed_is_written_in_one_way(text: str) -> None:
    assert canonical(text, COLUMNS) == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_what_could_do_harm_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical(text, COLUMNS)


def test_every_card_that_comes_along_is_good(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    assert loaded.errors == ()
    assert len(loaded.cards) == len(list(CARDS.glob("*.yaml"))) >= 24


NUMERATOR = {"fact": "fct_gl_entry", "date": "posted_on", "value": "debit", "time": "sum"}
STOCK = {
    "fact": "fct_inventory_daily",
    "date": "snapshot_date",
    "value": "on_hand_qty",
    "time": "last",
    "space": "none",
}
COST = {"fact": "fct_budget_actual", "date": "period_start", "value": "actual_amount", "time": "sum"}
WRONG = {
    "an unknown key": ({"surprise": 1}, "surprise", "surprise"),
    "no such fact": ({"numerator": NUMERATOR | {"fact": "fct_x"}}, "fct_x", "  fact"),
    "no such date": ({"numerator": NUMERATOR | {"date": "debit"}}, "is no date of fct_gl_entry", "  date"),
    "no such column": ({"numerator": NUMERATOR | {"value": "net"}}, "no column 'net'", "  value"),
    "a function": ({"numerator": NUMERATOR | {"where": "pg_sleep(1)"}}, "not allowed", "  where"),
    "the clock": ({"numerator": NUMERATOR | {"where": "posted_on < 'today'"}}, "depend on the clock", "  where"),
    "a scope that the fact lacks": ({"scopes": ["supplier"]}, "fct_gl_entry knows no supplier", "scopes"),
    "a ratio of one": ({"combine": "ratio"}, "needs a denominator", "combine"),
    "another name than the file's": ({"metric": "other"}, "is not the file's name", "metric"),
    "no rule for time": ({"numerator": {k: v for k, v in NUMERATOR.items() if k != "time"}}, "time", "numerator"),
    "days that are not rolled up": ({"numerator": NUMERATOR | {"time": "none"}}, "periods: [day]", "  time"),
    "days of what has months": ({"numerator": COST}, "one row a month", "  fact"),
    "days of what has months, said": ({"numerator": COST, "periods": ["day"]}, "one row a month", "periods"),
    "scopes that are not rolled up": ({"numerator": NUMERATOR | {"space": "none"}}, "only scope", "  space"),
    "sites beside the company": ({"numerator": STOCK, "scopes": ["company", "site"]}, "only scope", "  space"),
    "sites of several items": ({"numerator": STOCK, "scopes": ["site", "item"]}, "only scope", "  space"),
    "a headline without a company": ({"headline": 1, "scopes": ["site"]}, "shows the company", "headline"),
    "too large a factor": ({"scale": 10**18}, "digits", "scale"),
    "too fine a factor": ({"scale": "1e-11"}, "decimal places", "scale"),
    "too wide a range": ({"range": [0, 1e25]}, "digits", "range"),
    "no number": ({"range": [0, float("nan")]}, "finite", "range"),
    "too new a version": ({"version": 2**31}, "less than", "version"),
    "what no text can hold": ({"says": "a\0b"}, "pattern", "says"),
}
CARD = {
    "metric": "mine", "name": "n", "says": "s", "formula": "f", "numerator": NUMERATOR, "combine": "value",
    "unit": "EUR", "range": [None, None], "direction": "higher", "scopes": ["company"], "null_rule": "zero",
    "audience": ["process manager"], "owner": "o", "version": 1,
}  # fmt: skip


def write(file: Path, **said: object) -> Path:
    """A good card, but for what is said."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump(CARD | {"metric": file.stem} | said, sort_keys=False))
    return file


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_card_is_refused_with_its_line(case: str, tmp_path: Path) -> None:
    said, problem, key = WRONG[case]
    file = write(tmp_path / "mine.yaml")
    assert load_card(file).card.metric == "mine"
    write(file, **said)
    with pytest.raises(MetricError) as refused:
        load_card(file)
    assert problem in refused.value.what
    assert line(refused.value, file).startswith(key)


def line(error: MetricError, file: Path) -> str:
    """The line that it names, as one would see it in an editor: of a list, the key that it is of."""
    number = int(error.where.removeprefix(f"{file}:"))
    lines = file.read_text().splitlines()[:number]
    return next(text for text in reversed(lines) if not text.startswith("- "))


def test_a_balance_of_sites_that_does_not_add_up_is_shown_by_site(tmp_path: Path) -> None:
    assert load_card(write(tmp_path / "mine.yaml", numerator=STOCK, scopes=["site"])).card.scopes == ("site",)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("says: 2026-02-30", "day is out of range for month"),
        ("version: 0x_", "invalid literal"),
        ("name: again", "name is given twice"),
        ("numerator: {fact: x, fact: y}", "fact is given twice"),
        ("says: [", "did not find expected"),
    ],
)
def test_what_yaml_cannot_say_is_refused_with_its_line(tmp_path: Path, said: str, problem: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"metric: mine\nname: n\n{said}\n")
    with pytest.raises(MetricError, match=problem) as refused:
        load_card(file)
    assert refused.value.where == f"{file}:{4 if said.endswith('[') else 3}"


def test_a_place_or_a_metric_of_two_cards_is_named_with_file_and_line(tmp_path: Path) -> None:
    file = write(tmp_path / "metrics" / "mine.yaml", headline=1)
    twice = write(tmp_path / "metrics" / "supplier_spend.yaml")
    place, metric = load(tmp_path).errors
    assert line(place, file) == "headline: 1"
    assert line(metric, twice) == "metric: supplier_spend"


METRIC = "supplier_spend"
HEADER = "metric,scope,scope_id,period,valid_from,valid_to,target,red_below,red_above"


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (f"{METRIC},,,,,,1e18,,", "digits"),
        (f"{METRIC},,,,,,5%,,", "target: Input should be a valid decimal: '5%'"),
        (f"{METRIC},,,,,,0.00000000001,,", "decimal places"),
        (f"{METRIC},,,,,,1,nan,", "finite"),
        (f"{METRIC},,,,2026-02-30,,1,,", "valid_from"),
        (f"{METRIC},site,a\0b,,,,1,,", "scope_id"),
        (f"{METRIC},work_center,,,,,1,,", "not shown by work_center"),
        ("budget_burn,,,week,,,1,,", "not shown by week"),
        (f"{METRIC},,,,,,95,5,1,000", "beyond the header"),
        ("nothing,,,,,,1,,", "there is no metric 'nothing'"),
        ("mine,,,,,,1,,", None),
    ],
)
def test_a_wrong_target_is_refused_with_its_line_and_the_others_hold(
    tmp_path: Path, wrong: str, problem: str | None
) -> None:
    write(tmp_path / "metrics" / "mine.yaml", surprise=1)
    file = tmp_path / "metrics" / "targets.csv"
    file.write_text(f"{HEADER}\n{METRIC},site,,,,,7,,\n,,,,,,,,\n{wrong}\n")
    loaded = load(tmp_path)
    assert [(one.scope, one.target) for one in loaded.targets] == [("site", 7)]
    cells = wrong.split(",")
    assert loaded.refused_aims == {(cells[0], cells[1] or "company", cells[2], cells[3])}
    card, *said = loaded.errors
    assert "surprise" in card.what
    # The lines of a card that is refused are not named once more.
    assert [(problem in error.what, error.where) for error in said] == [(True, f"{file}:4")] * (problem is not None)


@pytest.mark.parametrize("content", [b"metric,goal\n", b"scope,target\n", b"metric,target,target\n", b"metric,\xff\n"])
def test_targets_that_cannot_be_read_leave_all_as_they_were(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "metrics" / "targets.csv"
    file.parent.mkdir()
    file.write_bytes(content)
    loaded = load(tmp_path)
    (error,) = loaded.errors
    assert error.where.startswith(str(file))
    assert "all targets stay" in error.remedy
    assert loaded.refused_aims is None
