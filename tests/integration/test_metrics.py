"""Components of metrics: what a night recomputes, what stays readable, cards that come, change and go."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from flows import events, pipeline
from flows.io import metric_cards
from flows.io.metric_files import CARDS, load
from flows.io.metrics import recompute, set_aside
from flows.report import RunReport
from tests.shop import Shop

ON_TIME = "supplier_on_time_promised"
HISTORY = (
    "select component.value_sql, held.date::text, held.value::float, held.known_to is null"
    " from mart.fct_metric_component as held inner join mart.dim_metric_component as component using (component_key)"
)


def prepare(shop: Shop) -> None:
    """Lines promised on three days, of which two were received in time on the first two."""
    shop.source(purchase_order_line="delta", goods_receipt="append")
    promised = ("2026-03-18", "2026-03-19", "2026-03-20")
    lines = [{"po_id": f"P{n}", "promised_on": day} for n, day in enumerate(promised)]
    shop.land("purchase_order_line", "2026-03-11", *lines)
    shop.land("goods_receipt", "2026-03-16", {"po_id": "P0"}, {"receipt_id": "R2", "po_id": "P1"})
    shop.good_night()


@pytest.fixture
def filled(prepared: Shop) -> Shop:
    """The shop above, a copy for each test."""
    return prepared


def on_time(shop: Shop, period: str = "day") -> dict[str, tuple[float, float, float | None]]:
    """Numerator, denominator and value by first day, of the company."""
    rows = shop.fetch(
        "select period_start::text, numerator::float, denominator::float, value::float from mart.v_metric"
        f" where metric_id = '{ON_TIME}' and scope = 'company' and period = '{period}'"
    )
    return {row[0]: row[1:] for row in rows}


def card(shop: Shop, metric: str, **said: object) -> Path:
    """A card of the home's own: the one above with what is said instead."""
    content = yaml.safe_load((CARDS / f"{ON_TIME}.yaml").read_text()) | {"metric": metric, "headline": None} | said
    path = shop.settings.home / "metrics" / f"{metric}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def test_a_receipt_tonight_changes_what_is_on_time_on_the_promised_day_and_no_other(filled: Shop) -> None:
    assert on_time(filled) == {
        "2026-03-18": (1.0, 1.0, 100.0), "2026-03-19": (1.0, 1.0, 100.0), "2026-03-20": (0.0, 0.0, None)
    }  # fmt: skip
    before = filled.fetch("select max(known_from) from mart.fct_metric_component")[0][0]
    # Days that are not computed again stay as wrong as they are.
    with filled.warehouse.session() as session:
        session.execute("update mart.fct_metric_component set value = value + 7 where date = '2026-03-19'")
        session.commit()
    filled.land(
        "goods_receipt", "2026-03-25", {"receipt_id": "R3", "po_id": "P2", "received_at": "2026-03-25 09:00:00"}
    )
    filled.good_night()
    assert on_time(filled)["2026-03-20"] == (0.0, 1.0, 0.0)
    assert on_time(filled)["2026-03-19"] == (8.0, 8.0, 100.0)
    assert on_time(filled, "month") == {"2026-03-01": (9.0, 10.0, 90.0)}
    # Of the facts by promise only the promised day of the line that changed was written.
    changed = filled.fetch(
        "select distinct held.date::text from mart.fct_metric_component as held"
        " inner join mart.dim_metric_component as component using (component_key)"
        f" where date_column = 'promised_on' and known_from > '{before}'"
    )
    assert changed == [("2026-03-20",)]
    # What was reported stays readable.
    due = filled.fetch(f"{HISTORY} where value_sql = 'due_promised_count' and date = '2026-03-20' order by known_from")
    assert due == [("due_promised_count", "2026-03-20", 0.0, False), ("due_promised_count", "2026-03-20", 1.0, True)]


def test_a_promise_that_moves_leaves_its_day(filled: Shop) -> None:
    filled.land("purchase_order_line", "2026-03-12", {"po_id": "P1", "promised_on": "2026-04-02"})
    filled.good_night()
    assert on_time(filled).keys() == {"2026-03-18", "2026-03-20", "2026-04-02"}
    assert on_time(filled, "month").keys() == {"2026-03-01", "2026-04-01"}


def test_a_night_without_news_and_a_recomputation_write_nothing(filled: Shop) -> None:
    before = filled.fetch("select count(*), max(known_from) from mart.fct_metric_component")
    assert filled.night().is_empty
    recompute(filled.warehouse, ["fct_purchase_order_line", "fct_goods_receipt"])
    assert filled.fetch("select count(*), max(known_from) from mart.fct_metric_component") == before


def test_a_card_alone_adds_a_metric_with_its_history_and_takes_it_away(filled: Shop) -> None:
    open_value = {"fact": "fct_purchase_order_line", "date": "ordered_on", "value": "ordered_qty * 2", "time": "sum"}
    path = card(filled, "doubled", combine="value", numerator=open_value, denominator=None, scale=1)
    filled.good_night()
    doubled = "select value::float from mart.v_metric where metric_id = 'doubled' and scope = 'company' and period = "
    assert filled.fetch(f"{doubled} 'month'") == [(30.0,)]
    filled.land("purchase_order_line", "2026-03-12", {"po_id": "P9"})
    filled.good_night()
    assert filled.fetch(f"{doubled} 'month'") == [(40.0,)]
    path.unlink()
    assert filled.good_night().sentence().endswith(" 1 metric updated.")
    assert filled.fetch(f"{doubled} 'month'") == []
    kept = filled.fetch(f"{HISTORY} where value_sql = 'ordered_qty * 2' order by known_from")
    assert [(value, is_known) for _, _, value, is_known in kept] == [(30.0, False), (40.0, False)]


def test_a_card_that_is_wrong_is_named_and_its_metric_stays_as_it_was(filled: Shop) -> None:
    path = card(filled, "mine")
    filled.good_night()
    for said, problem in (
        ({"numerator": {"fact": "fct_x", "date": "a", "value": "b", "time": "sum"}}, "there is no fact 'fct_x'"),
        ({"numerator": {"fact": "fct_gl_entry", "date": "posted_on", "value": "is_closing", "time": "sum"},
          "scopes": ["site"]}, "PostgreSQL refuses sum(is_closing)"),
        ({"surprise": 1}, "surprise"),
    ):  # fmt: skip
        card(filled, "mine", **said)
        (found,) = filled.night().problems
        assert problem in str(found)
        assert f"{path}:" in str(found)
        assert on_time(filled, "month") == {"2026-03-01": (2.0, 2.0, 100.0)}
        assert filled.fetch("select count(*) from mart.v_metric where metric_id = 'mine'")[0][0] > 0


def test_a_metric_stays_whose_card_is_refused_when_all_of_its_fact_is_computed_again(filled: Shop) -> None:
    own = {"fact": "fct_purchase_order_line", "date": "ordered_on", "value": "2 * line_count", "time": "sum"}
    card(filled, "mine", combine="value", numerator=own, denominator=None, scale=1)
    assert taken(filled) == []
    card(filled, "mine", surprise=1)
    with filled.warehouse.session() as session:
        set_aside(session, "fct_purchase_order_line")
        session.commit()
    assert len(taken(filled)) == 1
    mine = "select value::float from mart.v_metric where metric_id = 'mine' and scope = 'company' and period = 'month'"
    assert filled.fetch(mine) == [(6.0,)]


def test_of_a_card_that_is_refused_nothing_is_kept(filled: Shop) -> None:
    good = {"fact": "fct_purchase_order_line", "date": "ordered_on", "value": "7 * line_count", "time": "sum"}
    kept = "select count(*) from mart.dim_metric_component where is_current and value_sql = '7 * line_count'"
    path = card(filled, "mine", numerator=good, denominator=good | {"value": "is_cancelled"})
    assert "PostgreSQL refuses sum(is_cancelled)" in str(taken(filled))
    assert filled.fetch(kept) == [(0,)]
    # One that can be computed stays while the other is tried each night, rather than being computed each night.
    card(filled, "mine", numerator=good, denominator=good | {"value": f"line_count * 1{30 * '0'}"})
    for _ in range(2):
        assert "overflow" in str(taken(filled))
        assert filled.fetch(kept) == [(1,)]
        assert filled.fetch(f"{HISTORY} where value_sql = '7 * line_count'") == [
            ("7 * line_count", "2026-03-10", 21, True)
        ]
    path.unlink()
    assert taken(filled) == []
    assert filled.fetch(kept) == [(0,)]


def test_a_metric_of_two_facts_is_as_old_and_as_complete_as_the_older(filled: Shop) -> None:
    counted = {"date": "ordered_on", "value": "1", "time": "sum"}
    lines, receipts = counted | {"fact": "fct_purchase_order_line"}, counted | {"fact": "fct_goods_receipt"}
    card(filled, "both", numerator=lines, denominator=receipts | {"date": "received_on"}, scopes=["company"])
    filled.land("purchase_order_line", "2026-04-02", {"po_id": "N", "promised_on": "2026-05-01"})
    filled.good_night()
    shown = (
        f"select metric_id, is_complete, published_at from mart.v_metric where metric_id in ('both', '{ON_TIME}')"
        " and scope = 'company' and period = 'month' and period_start = '2026-03-01' order by metric_id"
    )
    newest = filled.fetch("select max(published_at) from ops.slice where fact like 'fct%' group by fact order by fact")
    (receipt,), (line,) = newest
    assert receipt < line
    assert filled.fetch(shown) == [("both", False, receipt), (ON_TIME, True, line)]
    filled.land("goods_receipt", "2026-04-01", {"receipt_id": "R3", "po_id": "P2"})
    filled.good_night()
    (_, is_complete, published), (_, _, of_lines) = filled.fetch(shown)
    assert is_complete
    assert line < published <= of_lines


def test_a_plan_ends_no_month_and_what_was_never_delivered_is_not_skipped(filled: Shop) -> None:
    months = {"periods": ["month"], "scopes": ["company"]}
    spent = {"fact": "fct_budget_actual", "date": "period_start", "value": "actual_amount", "time": "sum"}
    card(filled, "spent", combine="value", numerator=spent, denominator=None, **months)
    never = {"fact": "fct_operation", "date": "business_date", "value": "good_qty", "time": "sum"}
    card(filled, "made", denominator=never, **months)
    filled.source("ledger", gl_entry="append", budget_line="snapshot")
    shown = "select metric_id, is_complete from mart.v_metric where metric_id in ('made', 'spent') order by 1"
    filled.land("budget_line", "2026-04-02", {}, source="ledger")
    filled.land("purchase_order_line", "2026-04-02", {"po_id": "P0", "promised_on": "2026-03-18"})
    for as_of, is_complete in (("2026-03-20", False), ("2026-04-03", True)):
        debit, credit = {"debit": "5.00", "credit": "0"}, {"line_no": "2", "credit": "5.00"}
        filled.land("gl_entry", as_of, *(one | {"journal_id": as_of} for one in (debit, credit)), source="ledger")
        filled.night()
        assert filled.fetch(shown) == [("made", False), ("spent", is_complete)]


def test_sums_of_what_has_more_decimals_than_are_kept_stay_exact(filled: Shop) -> None:
    """A sum is added to and taken off from, so every row is rounded, not the sum of what one night publishes."""
    own = {"fact": "fct_purchase_order_line", "date": "ordered_on", "time": "sum"}
    text = "case when is_cancelled then ordered_qty else '8e-11' end"
    for n, value in enumerate(("ordered_qty / 3", "line_count + 8e-11", text)):
        card(filled, f"fine_{n}", combine="value", numerator=own | {"value": value}, denominator=None)
    assert taken(filled) == []
    second = ({"po_id": "N9"}, {"po_id": "P1", "is_deleted": "true"})
    for slot, rows in (("2026-03-12", [{"po_id": f"N{n}"} for n in range(4)]), ("2026-03-13", second)):
        filled.land("purchase_order_line", slot, *rows)
        filled.good_night()
        assert verify(filled) == []
    of_company = "select value::float from mart.v_metric where scope = 'company' and period = 'month'"
    assert filled.fetch(f"{of_company} and metric_id = 'fine_0'") == [(1166.66666669,)]


def test_a_card_stops_no_publish(filled: Shop) -> None:
    """A sum that becomes too large to be kept."""
    huge = {
        "fact": "fct_purchase_order_line", "date": "ordered_on", "value": f"ordered_qty * 1{25 * '0'}", "time": "sum"
    }  # fmt: skip
    card(filled, "huge", combine="value", numerator=huge, denominator=None)
    filled.good_night()
    filled.land("purchase_order_line", "2026-03-12", {"po_id": "P9", "ordered_qty": 9000})
    (problem,) = filled.night().problems
    assert "huge: PostgreSQL refuses sum(ordered_qty" in str(problem)
    assert filled.fetch("select count(*) from mart.fct_purchase_order_line") == [(4,)]
    assert on_time(filled, "month") == {"2026-03-01": (2.0, 2.0, 100.0)}
    assert verify(filled) == []


def test_cards_of_what_is_no_longer_there_stop_no_publish(filled: Shop) -> None:
    """An update of the project took away columns that cards of the home's own name."""
    mine = {"fact": "fct_purchase_order_line", "date": "ordered_on", "value": "3 * line_count", "time": "sum"}
    for name, date_column in (("mine", "ordered_on"), ("dated", "last_received_on")):
        card(filled, name, combine="value", numerator=mine | {"date": date_column}, denominator=None)
    assert taken(filled) == []
    with filled.warehouse.session() as session:
        for name, column, gone in (("mine", "value_sql", "gone_count"), ("dated", "date_column", "gone_on")):
            key = f"(select numerator_key from mart.dim_metric where metric_id = '{name}')"
            changed = f"update mart.dim_metric_component set {column} = '{gone}' where component_key = {key}"
            assert session.execute(changed) == 1
        session.commit()
    card(filled, "mine", combine="value", numerator=mine | {"value": "gone_count"}, denominator=None)
    card(filled, "dated", combine="value", numerator=mine | {"date": "gone_on"}, denominator=None)
    filled.land("purchase_order_line", "2026-03-12", {"po_id": "P9", "promised_on": "2026-03-18"})
    problems = filled.night().problems
    assert len(problems) == 2
    assert all(f"{name}.yaml:" in str(problems) for name in ("mine", "dated"))
    assert filled.fetch("select count(*) from mart.fct_purchase_order_line") == [(4,)]
    filled.land("goods_receipt", "2026-03-17", {"receipt_id": "R9", "po_id": "P9"})
    filled.night()
    assert on_time(filled, "month") == {"2026-03-01": (3.0, 3.0, 100.0)}


def taken(shop: Shop) -> list[str]:
    """Cards and targets taken, as every run does at its end; what is wrong with them."""
    updated = metric_cards.take(shop.warehouse, load(shop.settings.home), datetime.now(UTC))
    return [str(error) for error in updated.errors]


def verify(shop: Shop) -> list[str]:
    with pipeline.open(shop.settings) as pipe:
        return [str(difference) for difference in pipe.verify()]


def test_verify_notices_sums_that_are_not_the_facts_and_mends_them(filled: Shop) -> None:
    assert verify(filled) == []
    right = on_time(filled)
    for statement in (
        "update mart.fct_metric_component set value = value + 1",
        "delete from mart.fct_metric_component where date = '2026-03-18'",
        "update mart.fct_metric_component set date = date + 100",
    ):
        with filled.warehouse.session() as session:
            assert session.execute(statement)
            session.commit()
        assert any("on_time_promised_count" in said for said in verify(filled))
        with pipeline.open(filled.settings) as pipe:
            assert pipe.repair(pipe.verify()) == []
        assert verify(filled) == []
        assert on_time(filled) == right


def test_targets_are_lines_of_a_file(filled: Shop) -> None:
    folder = filled.settings.home / "metrics"
    folder.mkdir()
    (folder / "targets.csv").write_text(
        "metric,scope,scope_id,period,valid_from,valid_to,target,red_below,red_above\n"
        f"{ON_TIME},,,,,2026-03-19,95,90,\n"
        f"{ON_TIME},,,,2026-03-19,,100.5,,\n"
        f"{ON_TIME},supplier,,,,,95,90,\n"
        f"{ON_TIME},supplier,S1,,,,101,100.5,\n"
        f"{ON_TIME},supplier,S1,month,,,50,40,\n"
        f"{ON_TIME},site,,,,,x,,\n"
        "nothing,,,,,,1,,\n"
    )
    problems = filled.night().problems
    assert len(problems) == 2
    assert all(f"targets.csv:{line}" in str(problem) for line, problem in zip((7, 8), problems, strict=True))
    found = filled.fetch(
        "select scope, period, period_start::text, target::float, status from mart.v_metric"
        f" where metric_id = '{ON_TIME}' and value is not null and period in ('day', 'month') and scope <> 'site'"
        " order by 1, 2, 3"
    )
    assert found == [
        ("company", "day", "2026-03-18", 95.0, "green"),
        ("company", "day", "2026-03-19", 100.5, "amber"),
        ("company", "month", "2026-03-01", 100.5, "amber"),
        ("supplier", "day", "2026-03-18", 101.0, "red"),
        ("supplier", "day", "2026-03-19", 101.0, "red"),
        ("supplier", "month", "2026-03-01", 50.0, "green"),
    ]


def test_targets_that_are_refused_stay_as_they_were(filled: Shop) -> None:
    mine = card(filled, "mine")
    targets = mine.with_name("targets.csv")
    held = "select metric_id, target::float from mart.dim_metric_target inner join mart.dim_metric using (metric_key)"
    good = f"metric,target,red_below\n{ON_TIME},95,90\nmine,50,40\n"
    both = [("mine", 50.0), (ON_TIME, 95.0)]
    targets.write_text(good)
    assert taken(filled) == []
    for wrong, said in (
        (good.replace("metric,target", "metric,goal"), "targets.csv:1"),
        (good.replace("95", "9,5"), "targets.csv:2"),
        (good.replace("50", "1e20"), "targets.csv:3"),
    ):
        targets.write_text(wrong)
        (problem,) = taken(filled)
        assert said in problem
        assert "as it was" in problem or "as they were" in problem
        assert sorted(filled.fetch(held)) == both
    targets.write_text(good.replace("95", "96"))
    assert metric_cards.take(filled.warehouse, load(filled.settings.home), datetime.now(UTC)).targets == 1
    card(filled, "mine", surprise=1)
    (problem,) = taken(filled)
    assert "mine.yaml:" in problem
    assert sorted(filled.fetch(held)) == [both[0], (ON_TIME, 96.0)]
    card(filled, "mine")
    targets.write_text("metric,target\nmine,51\n")
    assert taken(filled) == []
    assert filled.fetch(held) == [("mine", 51.0)]


def test_a_target_that_makes_red_is_told_though_nothing_else_is_new(filled: Shop) -> None:
    filled.land("purchase_order_line", "2026-04-02", {"po_id": "N", "promised_on": "2026-05-01"})
    filled.good_night()
    daily = card(filled, "daily", periods=["day"])
    daily.with_name("targets.csv").write_text(f"metric,target,red_below\n{ON_TIME},101,100.5\ndaily,101,100.5\n")
    # The second is shown by day only.
    wanted = [("daily", "day", "2026-03-19"), (ON_TIME, "month", "2026-03-01")]
    for told in (wanted, []):
        report = filled.good_night()
        assert report.cards == ("1 metric and 2 targets updated" if told else "")
        assert report.is_empty == (not told)
        payloads = [event.payload for event in breaches(filled, report)]
        assert sorted((one["metric_id"], one["period"], one["period_start"]) for one in payloads) == told


def breaches(shop: Shop, report: RunReport) -> list[events.Event]:
    sent: list[events.Event] = []
    with pipeline.open(shop.settings) as pipe:
        pipe.announce(report, sent.extend)
    return [event for event in sent if event.name == events.BREACHED]


def test_a_metric_that_turns_red_is_told_once(filled: Shop) -> None:
    targets = filled.settings.home / "metrics" / "targets.csv"
    targets.parent.mkdir()
    late = {"receipt_id": "R3", "po_id": "P2", "received_at": "2026-03-25 09:00:00"}
    filled.land("goods_receipt", "2026-04-01", late)
    # A target that is missed but not red, then red twice, green, red again: with a line a night, so that facts change.
    heard = []
    for night, red_below in enumerate(("60", "90", "90", "60", "90")):
        targets.write_text(f"metric,target,red_below\n{ON_TIME},95,{red_below}\n")
        filled.land("purchase_order_line", f"2026-04-0{night + 1}", {"po_id": f"N{night}", "promised_on": "2026-05-01"})
        heard.append(breaches(filled, filled.good_night()))
    assert [len(found) for found in heard] == [0, 1, 0, 0, 1]
    first, again = heard[1][0], heard[4][0]
    assert first.resource == f"{ON_TIME}.company"
    assert first.as_json("home")["id"] != again.as_json("home")["id"]
    payload = dict(first.payload)
    assert (payload["period"], payload["period_start"], payload["target"]) == ("month", "2026-03-01", 95.0)
    assert payload["value"] == pytest.approx(66.67, abs=0.01)
    assert payload["trend"] == [pytest.approx(66.67, abs=0.01)]
    assert [(member["scope"], member["id"]) for member in payload["look"]["worst"]] == [("supplier", "S1")]
    assert len(filled.fetch(payload["look"]["query"])) == 3


def test_a_member_without_a_value_in_the_newest_period_is_not_told_again(filled: Shop) -> None:
    daily = card(filled, "daily", periods=["day"], scopes=["supplier"], null_rule="unknown")
    daily.with_name("targets.csv").write_text("metric,scope,target,red_below\ndaily,supplier,95,90\n")
    due = [("S1", 20, True), ("S2", 22, False), ("S1", 24, True), ("S1", 25, False), ("S1", 26, True)]
    heard = []
    for night, (supplier, day, is_late) in enumerate(due):
        po = f"N{night}"
        ordered = {"po_id": po, "promised_on": f"2026-03-{day}", "supplier_id": supplier}
        filled.land("purchase_order_line", f"2026-04-0{night + 1}", ordered)
        receipt = {"receipt_id": po, "po_id": po, "received_at": f"2026-03-{day + is_late} 09:00:00"}
        filled.land("goods_receipt", f"2026-04-0{night + 1}", receipt)
        heard.append([event.resource for event in breaches(filled, filled.good_night())])
    assert heard == [["daily.supplier.S1"], [], [], [], ["daily.supplier.S1"]]
