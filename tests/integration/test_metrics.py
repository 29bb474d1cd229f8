"""Components of metrics: what a night recomputes, what stays readable, cards that come, change and go."""

from flows import pipeline
from flows.io.metrics import recompute, set_aside
from tests import promises
from tests.promises import ON_TIME, card, on_time, taken
from tests.shop import Shop

prepare = promises.prepare
HISTORY = (
    "select component.value_sql, held.date::text, held.value::float, held.known_to is null"
    " from mart.fct_metric_component as held inner join mart.dim_metric_component as component using (component_key)"
)


def test_a_receipt_tonight_changes_what_is_on_time_on_the_promised_day_and_no_other(prepared: Shop) -> None:
    assert on_time(prepared) == {
        "2026-03-18": (1.0, 1.0, 100.0), "2026-03-19": (1.0, 1.0, 100.0), "2026-03-20": (0.0, 0.0, None)
    }  # fmt: skip
    before = prepared.fetch("select max(known_from) from mart.fct_metric_component")[0][0]
    # Days that are not computed again stay as wrong as they are.
    with prepared.warehouse.session() as session:
        session.execute("update mart.fct_metric_component set value = value + 7 where date = '2026-03-19'")
        session.commit()
    prepared.land(
        "goods_receipt", "2026-03-25", {"receipt_id": "R3", "po_id": "P2", "received_at": "2026-03-25 09:00:00"}
    )
    prepared.good_night()
    assert on_time(prepared)["2026-03-20"] == (0.0, 1.0, 0.0)
    assert on_time(prepared)["2026-03-19"] == (8.0, 8.0, 100.0)
    assert on_time(prepared, "month") == {"2026-03-01": (9.0, 10.0, 90.0)}
    # Of the facts by promise only the promised day of the line that changed was written.
    changed = prepared.fetch(
        "select distinct held.date::text from mart.fct_metric_component as held"
        " inner join mart.dim_metric_component as component using (component_key)"
        f" where date_column = 'promised_on' and known_from > '{before}'"
    )
    assert changed == [("2026-03-20",)]
    # What was reported stays readable.
    due = prepared.fetch(
        f"{HISTORY} where value_sql = 'due_promised_count' and date = '2026-03-20' order by known_from"
    )
    assert due == [("due_promised_count", "2026-03-20", 0.0, False), ("due_promised_count", "2026-03-20", 1.0, True)]


def test_a_promise_that_moves_leaves_its_day(prepared: Shop) -> None:
    prepared.land("purchase_order_line", "2026-03-12", {"po_id": "P1", "promised_on": "2026-04-02"})
    prepared.good_night()
    assert on_time(prepared).keys() == {"2026-03-18", "2026-03-20", "2026-04-02"}
    assert on_time(prepared, "month").keys() == {"2026-03-01", "2026-04-01"}


def test_a_night_without_news_and_a_recomputation_write_nothing(prepared: Shop) -> None:
    before = prepared.fetch("select count(*), max(known_from) from mart.fct_metric_component")
    assert prepared.night().is_empty
    recompute(prepared.warehouse, ["fct_purchase_order_line", "fct_goods_receipt"])
    assert prepared.fetch("select count(*), max(known_from) from mart.fct_metric_component") == before


def test_a_card_alone_adds_a_metric_with_its_history_and_takes_it_away(prepared: Shop) -> None:
    open_value = {"fact": "fct_purchase_order_line", "date": "ordered_on", "value": "ordered_qty * 2", "time": "sum"}
    path = card(prepared, "doubled", combine="value", numerator=open_value, denominator=None, scale=1)
    prepared.good_night()
    doubled = "select value::float from mart.v_metric where metric_id = 'doubled' and scope = 'company' and period = "
    assert prepared.fetch(f"{doubled} 'month'") == [(30.0,)]
    prepared.land("purchase_order_line", "2026-03-12", {"po_id": "P9"})
    prepared.good_night()
    assert prepared.fetch(f"{doubled} 'month'") == [(40.0,)]
    path.unlink()
    assert prepared.good_night().sentence().endswith(" 1 metric updated.")
    assert prepared.fetch(f"{doubled} 'month'") == []
    kept = prepared.fetch(f"{HISTORY} where value_sql = 'ordered_qty * 2' order by known_from")
    assert [(value, is_known) for _, _, value, is_known in kept] == [(30.0, False), (40.0, False)]


def test_a_card_that_is_wrong_is_named_and_its_metric_stays_as_it_was(prepared: Shop) -> None:
    path = card(prepared, "mine")
    prepared.good_night()
    for said, problem in (
        ({"numerator": {"fact": "fct_x", "date": "a", "value": "b", "time": "sum"}}, "there is no fact 'fct_x'"),
        ({"numerator": {"fact": "fct_gl_entry", "date": "posted_on", "value": "is_closing", "time": "sum"},
          "scopes": ["site"]}, "PostgreSQL refuses sum(is_closing)"),
        ({"surprise": 1}, "surprise"),
    ):  # fmt: skip
        card(prepared, "mine", **said)
        (found,) = prepared.night().problems
        assert problem in str(found)
        assert f"{path}:" in str(found)
        assert on_time(prepared, "month") == {"2026-03-01": (2.0, 2.0, 100.0)}
        assert prepared.fetch("select count(*) from mart.v_metric where metric_id = 'mine'")[0][0] > 0


def test_a_metric_stays_whose_card_is_refused_when_all_of_its_fact_is_computed_again(prepared: Shop) -> None:
    own = {"fact": "fct_purchase_order_line", "date": "ordered_on", "value": "2 * line_count", "time": "sum"}
    card(prepared, "mine", combine="value", numerator=own, denominator=None, scale=1)
    assert taken(prepared) == []
    card(prepared, "mine", surprise=1)
    with prepared.warehouse.session() as session:
        set_aside(session, "fct_purchase_order_line")
        session.commit()
    assert len(taken(prepared)) == 1
    mine = "select value::float from mart.v_metric where metric_id = 'mine' and scope = 'company' and period = 'month'"
    assert prepared.fetch(mine) == [(6.0,)]


def test_of_a_card_that_is_refused_nothing_is_kept(prepared: Shop) -> None:
    good = {"fact": "fct_purchase_order_line", "date": "ordered_on", "value": "7 * line_count", "time": "sum"}
    kept = "select count(*) from mart.dim_metric_component where is_current and value_sql = '7 * line_count'"
    path = card(prepared, "mine", numerator=good, denominator=good | {"value": "is_cancelled"})
    assert "PostgreSQL refuses sum(is_cancelled)" in str(taken(prepared))
    assert prepared.fetch(kept) == [(0,)]
    # One that can be computed stays while the other is tried each night, rather than being computed each night.
    card(prepared, "mine", numerator=good, denominator=good | {"value": f"line_count * 1{30 * '0'}"})
    for _ in range(2):
        assert "overflow" in str(taken(prepared))
        assert prepared.fetch(kept) == [(1,)]
        assert prepared.fetch(f"{HISTORY} where value_sql = '7 * line_count'") == [
            ("7 * line_count", "2026-03-10", 21, True)
        ]
    path.unlink()
    assert taken(prepared) == []
    assert prepared.fetch(kept) == [(0,)]


def test_a_metric_of_two_facts_is_as_old_and_as_complete_as_the_older(prepared: Shop) -> None:
    counted = {"date": "ordered_on", "value": "1", "time": "sum"}
    lines, receipts = counted | {"fact": "fct_purchase_order_line"}, counted | {"fact": "fct_goods_receipt"}
    card(prepared, "both", numerator=lines, denominator=receipts | {"date": "received_on"}, scopes=["company"])
    prepared.land("purchase_order_line", "2026-04-02", {"po_id": "N", "promised_on": "2026-05-01"})
    prepared.good_night()
    shown = (
        f"select metric_id, is_complete, published_at from mart.v_metric where metric_id in ('both', '{ON_TIME}')"
        " and scope = 'company' and period = 'month' and period_start = '2026-03-01' order by metric_id"
    )
    newest = prepared.fetch(
        "select max(published_at) from ops.slice where fact like 'fct%' group by fact order by fact"
    )
    (receipt,), (line,) = newest
    assert receipt < line
    assert prepared.fetch(shown) == [("both", False, receipt), (ON_TIME, True, line)]
    prepared.land("goods_receipt", "2026-04-01", {"receipt_id": "R3", "po_id": "P2"})
    prepared.good_night()
    (_, is_complete, published), (_, _, of_lines) = prepared.fetch(shown)
    assert is_complete
    assert line < published <= of_lines


def test_a_plan_ends_no_month_and_what_was_never_delivered_is_not_skipped(prepared: Shop) -> None:
    months = {"periods": ["month"], "scopes": ["company"]}
    spent = {"fact": "fct_budget_actual", "date": "period_start", "value": "actual_amount", "time": "sum"}
    card(prepared, "spent", combine="value", numerator=spent, denominator=None, **months)
    never = {"fact": "fct_operation", "date": "business_date", "value": "good_qty", "time": "sum"}
    card(prepared, "made", denominator=never, **months)
    prepared.source("ledger", gl_entry="append", budget_line="snapshot")
    shown = "select metric_id, is_complete from mart.v_metric where metric_id in ('made', 'spent') order by 1"
    prepared.land("budget_line", "2026-04-02", {}, source="ledger")
    prepared.land("purchase_order_line", "2026-04-02", {"po_id": "P0", "promised_on": "2026-03-18"})
    for as_of, is_complete in (("2026-03-20", False), ("2026-04-03", True)):
        debit, credit = {"debit": "5.00", "credit": "0"}, {"line_no": "2", "credit": "5.00"}
        prepared.land("gl_entry", as_of, *(one | {"journal_id": as_of} for one in (debit, credit)), source="ledger")
        prepared.night()
        assert prepared.fetch(shown) == [("made", False), ("spent", is_complete)]


def test_sums_of_what_has_more_decimals_than_are_kept_stay_exact(prepared: Shop) -> None:
    """A sum is added to and taken off from, so every row is rounded, not the sum of what one night publishes."""
    own = {"fact": "fct_purchase_order_line", "date": "ordered_on", "time": "sum"}
    text = "case when is_cancelled then ordered_qty else '8e-11' end"
    for n, value in enumerate(("ordered_qty / 3", "line_count + 8e-11", text)):
        card(prepared, f"fine_{n}", combine="value", numerator=own | {"value": value}, denominator=None)
    assert taken(prepared) == []
    second = ({"po_id": "N9"}, {"po_id": "P1", "is_deleted": "true"})
    for slot, rows in (("2026-03-12", [{"po_id": f"N{n}"} for n in range(4)]), ("2026-03-13", second)):
        prepared.land("purchase_order_line", slot, *rows)
        prepared.good_night()
        assert verify(prepared) == []
    of_company = "select value::float from mart.v_metric where scope = 'company' and period = 'month'"
    assert prepared.fetch(f"{of_company} and metric_id = 'fine_0'") == [(1166.66666669,)]


def test_a_card_stops_no_publish(prepared: Shop) -> None:
    """A sum that becomes too large to be kept."""
    huge = {
        "fact": "fct_purchase_order_line", "date": "ordered_on", "value": f"ordered_qty * 1{25 * '0'}", "time": "sum"
    }  # fmt: skip
    card(prepared, "huge", combine="value", numerator=huge, denominator=None)
    prepared.good_night()
    prepared.land("purchase_order_line", "2026-03-12", {"po_id": "P9", "ordered_qty": 9000})
    (problem,) = prepared.night().problems
    assert "huge: PostgreSQL refuses sum(ordered_qty" in str(problem)
    assert prepared.fetch("select count(*) from mart.fct_purchase_order_line") == [(4,)]
    assert on_time(prepared, "month") == {"2026-03-01": (2.0, 2.0, 100.0)}
    assert verify(prepared) == []


def test_cards_of_what_is_no_longer_there_stop_no_publish(prepared: Shop) -> None:
    """An update of the project took away columns that cards of the home's own name."""
    mine = {"fact": "fct_purchase_order_line", "date": "ordered_on", "value": "3 * line_count", "time": "sum"}
    for name, date_column in (("mine", "ordered_on"), ("dated", "last_received_on")):
        card(prepared, name, combine="value", numerator=mine | {"date": date_column}, denominator=None)
    assert taken(prepared) == []
    with prepared.warehouse.session() as session:
        for name, column, gone in (("mine", "value_sql", "gone_count"), ("dated", "date_column", "gone_on")):
            key = f"(select numerator_key from mart.dim_metric where metric_id = '{name}')"
            changed = f"update mart.dim_metric_component set {column} = '{gone}' where component_key = {key}"
            assert session.execute(changed) == 1
        session.commit()
    card(prepared, "mine", combine="value", numerator=mine | {"value": "gone_count"}, denominator=None)
    card(prepared, "dated", combine="value", numerator=mine | {"date": "gone_on"}, denominator=None)
    prepared.land("purchase_order_line", "2026-03-12", {"po_id": "P9", "promised_on": "2026-03-18"})
    problems = prepared.night().problems
    assert len(problems) == 2
    assert all(f"{name}.yaml:" in str(problems) for name in ("mine", "dated"))
    assert prepared.fetch("select count(*) from mart.fct_purchase_order_line") == [(4,)]
    prepared.land("goods_receipt", "2026-03-17", {"receipt_id": "R9", "po_id": "P9"})
    prepared.night()
    assert on_time(prepared, "month") == {"2026-03-01": (3.0, 3.0, 100.0)}


def verify(shop: Shop) -> list[str]:
    with pipeline.open(shop.settings) as pipe:
        return [str(difference) for difference in pipe.verify()]


def test_verify_notices_sums_that_are_not_the_facts_and_mends_them(prepared: Shop) -> None:
    assert verify(prepared) == []
    right = on_time(prepared)
    for statement in (
        "update mart.fct_metric_component set value = value + 1",
        "delete from mart.fct_metric_component where date = '2026-03-18'",
        "update mart.fct_metric_component set date = date + 100",
    ):
        with prepared.warehouse.session() as session:
            assert session.execute(statement)
            session.commit()
        assert any("on_time_promised_count" in said for said in verify(prepared))
        with pipeline.open(prepared.settings) as pipe:
            assert pipe.repair(pipe.verify()) == []
        assert verify(prepared) == []
        assert on_time(prepared) == right
