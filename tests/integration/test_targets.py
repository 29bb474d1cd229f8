"""Targets: lines of a file, and what is told when they are missed."""

from datetime import UTC, datetime

import pytest

from flows import events, pipeline
from flows.io import metric_cards
from flows.io.metric_files import load
from flows.report import RunReport
from tests import promises
from tests.promises import ON_TIME, card, taken
from tests.shop import Shop

prepare = promises.prepare


def test_targets_are_lines_of_a_file(prepared: Shop) -> None:
    folder = prepared.settings.home / "metrics"
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
    problems = prepared.night().problems
    assert len(problems) == 2
    assert all(f"targets.csv:{line}" in str(problem) for line, problem in zip((7, 8), problems, strict=True))
    found = prepared.fetch(
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


def test_targets_that_are_refused_stay_as_they_were(prepared: Shop) -> None:
    mine = card(prepared, "mine")
    targets = mine.with_name("targets.csv")
    held = "select metric_id, target::float from mart.dim_metric_target inner join mart.dim_metric using (metric_key)"
    good = f"metric,target,red_below\n{ON_TIME},95,90\nmine,50,40\n"
    both = [("mine", 50.0), (ON_TIME, 95.0)]
    targets.write_text(good)
    assert taken(prepared) == []
    for wrong, said in (
        (good.replace("metric,target", "metric,goal"), "targets.csv:1"),
        (good.replace("95", "9,5"), "targets.csv:2"),
        (good.replace("50", "1e20"), "targets.csv:3"),
    ):
        targets.write_text(wrong)
        (problem,) = taken(prepared)
        assert said in problem
        assert "as it was" in problem or "as they were" in problem
        assert sorted(prepared.fetch(held)) == both
    targets.write_text(good.replace("95", "96"))
    assert metric_cards.take(prepared.warehouse, load(prepared.settings.home), datetime.now(UTC)).targets == 1
    card(prepared, "mine", surprise=1)
    (problem,) = taken(prepared)
    assert "mine.yaml:" in problem
    assert sorted(prepared.fetch(held)) == [both[0], (ON_TIME, 96.0)]
    card(prepared, "mine")
    targets.write_text("metric,target\nmine,51\n")
    assert taken(prepared) == []
    assert prepared.fetch(held) == [("mine", 51.0)]


def test_a_target_that_makes_red_is_told_though_nothing_else_is_new(prepared: Shop) -> None:
    prepared.land("purchase_order_line", "2026-04-02", {"po_id": "N", "promised_on": "2026-05-01"})
    prepared.good_night()
    daily = card(prepared, "daily", periods=["day"])
    daily.with_name("targets.csv").write_text(f"metric,target,red_below\n{ON_TIME},101,100.5\ndaily,101,100.5\n")
    # The second is shown by day only.
    wanted = [("daily", "day", "2026-03-19"), (ON_TIME, "month", "2026-03-01")]
    for told in (wanted, []):
        report = prepared.good_night()
        assert report.cards == ("1 metric and 2 targets updated" if told else "")
        assert report.is_empty == (not told)
        payloads = [event.payload for event in breaches(prepared, report)]
        assert sorted((one["metric_id"], one["period"], one["period_start"]) for one in payloads) == told


def breaches(shop: Shop, report: RunReport) -> list[events.Event]:
    sent: list[events.Event] = []
    with pipeline.open(shop.settings) as pipe:
        pipe.announce(report, sent.extend)
    return [event for event in sent if event.name == events.BREACHED]


def test_a_metric_that_turns_red_is_told_once(prepared: Shop) -> None:
    targets = prepared.settings.home / "metrics" / "targets.csv"
    targets.parent.mkdir()
    late = {"receipt_id": "R3", "po_id": "P2", "received_at": "2026-03-25 09:00:00"}
    prepared.land("goods_receipt", "2026-04-01", late)
    # A target that is missed but not red, then red twice, green, red again: with a line a night, so that facts change.
    heard = []
    for night, red_below in enumerate(("60", "90", "90", "60", "90")):
        targets.write_text(f"metric,target,red_below\n{ON_TIME},95,{red_below}\n")
        prepared.land(
            "purchase_order_line", f"2026-04-0{night + 1}", {"po_id": f"N{night}", "promised_on": "2026-05-01"}
        )
        heard.append(breaches(prepared, prepared.good_night()))
    assert [len(found) for found in heard] == [0, 1, 0, 0, 1]
    first, again = heard[1][0], heard[4][0]
    assert first.resource == f"{ON_TIME}.company"
    assert first.as_json("home")["id"] != again.as_json("home")["id"]
    payload = dict(first.payload)
    assert (payload["period"], payload["period_start"], payload["target"]) == ("month", "2026-03-01", 95.0)
    assert payload["value"] == pytest.approx(66.67, abs=0.01)
    assert payload["trend"] == [pytest.approx(66.67, abs=0.01)]
    assert [(member["scope"], member["id"]) for member in payload["look"]["worst"]] == [("supplier", "S1")]
    assert len(prepared.fetch(payload["look"]["query"])) == 3


def test_a_member_without_a_value_in_the_newest_period_is_not_told_again(prepared: Shop) -> None:
    daily = card(prepared, "daily", periods=["day"], scopes=["supplier"], null_rule="unknown")
    daily.with_name("targets.csv").write_text("metric,scope,target,red_below\ndaily,supplier,95,90\n")
    due = [("S1", 20, True), ("S2", 22, False), ("S1", 24, True), ("S1", 25, False), ("S1", 26, True)]
    heard = []
    for night, (supplier, day, is_late) in enumerate(due):
        po = f"N{night}"
        ordered = {"po_id": po, "promised_on": f"2026-03-{day}", "supplier_id": supplier}
        prepared.land("purchase_order_line", f"2026-04-0{night + 1}", ordered)
        receipt = {"receipt_id": po, "po_id": po, "received_at": f"2026-03-{day + is_late} 09:00:00"}
        prepared.land("goods_receipt", f"2026-04-0{night + 1}", receipt)
        heard.append([event.resource for event in breaches(prepared, prepared.good_night())])
    assert heard == [["daily.supplier.S1"], [], [], [], ["daily.supplier.S1"]]
