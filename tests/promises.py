"""A shop with three promises, of which two were kept, and what its metrics say of them."""

from datetime import UTC, datetime
from pathlib import Path

import yaml

from flows.io import metric_cards
from flows.io.metric_files import CARDS, load
from tests.shop import Shop

ON_TIME = "supplier_on_time_promised"


def prepare(shop: Shop) -> None:
    """Lines promised on three days, of which two were received in time on the first two."""
    shop.source(purchase_order_line="delta", goods_receipt="append")
    promised = ("2026-03-18", "2026-03-19", "2026-03-20")
    lines = [{"po_id": f"P{n}", "promised_on": day} for n, day in enumerate(promised)]
    shop.land("purchase_order_line", "2026-03-11", *lines)
    shop.land("goods_receipt", "2026-03-16", {"po_id": "P0"}, {"receipt_id": "R2", "po_id": "P1"})
    shop.good_night()


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


def taken(shop: Shop) -> list[str]:
    """Cards and targets taken, as every run does at its end; what is wrong with them."""
    updated = metric_cards.take(shop.warehouse, load(shop.settings.home), datetime.now(UTC))
    return [str(error) for error in updated.errors]
