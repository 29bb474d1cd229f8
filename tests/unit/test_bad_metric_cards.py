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
    "not is_cancelled and status in ('open', 'closed')": "NOT is_cancelled AND status IN ('open', 'closed')",
    "coalesce(received_qty, 0) between 1 and greatest(2, line_count) -- why": "COALESCE(received_qty, 0) BETWEEN 1 AND"
    " GREATEST(2, line_count)",
}  # fmt: skip
BAD = (
    "", "nothing", "x.line_count", "*", "count(*)", "sum(line_count)", "sum(line_count) over ()", "pg_sleep(1)",
    "random()", "now()", "current_user", "(select 1)", "line_count in (select 1)", "line_count; drop table x",
    "line_count from pg_authid", "line_count, line_count", "distinct line_count", "line_count limit 1",
    "line_count as x", "line_count::text", "cast(status as integer)", "1 / 0", "line_count / received_qty",
    "line_count / (1 - 1)", "status ~ 'a'", "status like 'a%'", "$1", "array[1]", "line_count +",
    "line_count) from x where (true", "e'x'", "line_count /* x */ union select 1",
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
WRONG = {
    "an unknown key": ({"surprise": 1}, "surprise", "surprise"),
    "no such fact": ({"numerator": NUMERATOR | {"fact": "fct_x"}}, "fct_x", "  fact"),
    "no such date": ({"numerator": NUMERATOR | {"date": "debit"}}, "is no date of fct_gl_entry", "  date"),
    "no such column": ({"numerator": NUMERATOR | {"value": "net"}}, "no column 'net'", "  value"),
    "a function": ({"numerator": NUMERATOR | {"where": "pg_sleep(1)"}}, "not allowed", "  where"),
    "a scope that the fact lacks": ({"scopes": ["supplier"]}, "fct_gl_entry knows no supplier", ""),
    "a ratio of one": ({"combine": "ratio"}, "needs a denominator", ""),
    "another name than the file's": ({"metric": "other"}, "is not the file's name", "metric"),
    "no rule for time": ({"numerator": {k: v for k, v in NUMERATOR.items() if k != "time"}}, "time", "numerator"),
    "days that are not rolled up": ({"numerator": NUMERATOR | {"time": "none"}}, "periods: [day]", ""),
    "scopes that are not rolled up": ({"numerator": NUMERATOR | {"space": "none"}}, "space: none", ""),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_card_is_refused_with_its_line(case: str, tmp_path: Path) -> None:
    said, problem, key = WRONG[case]
    card = {
        "metric": "mine", "name": "n", "says": "s", "formula": "f", "numerator": NUMERATOR, "combine": "value",
        "unit": "EUR", "range": [None, None], "direction": "higher", "scopes": ["company"], "null_rule": "zero",
        "audience": ["process manager"], "owner": "o", "version": 1,
    }  # fmt: skip
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(card, sort_keys=False))
    assert load_card(file).card.metric == "mine"
    file.write_text(yaml.safe_dump(card | said, sort_keys=False))
    with pytest.raises(MetricError) as refused:
        load_card(file)
    assert problem in refused.value.what
    number = int(refused.value.where.removeprefix(f"{file}:"))
    assert file.read_text().splitlines()[number - 1].startswith(key)


def test_what_is_no_yaml_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("metric: mine\nname: [\n")
    with pytest.raises(MetricError) as refused:
        load_card(file)
    assert refused.value.where.startswith(f"{file}:")
