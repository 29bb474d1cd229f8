"""docs/add-a-metric.md and docs/connect-bi.md, done as they say."""

import re
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from tests.shop import Shop

DOCS = Path(__file__).parents[2] / "docs"


def _blocks(page: str, language: str) -> list[str]:
    """Code of a page, as one would copy it."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in found]


@pytest.fixture
def ordering(shop: Shop) -> Shop:
    """Ten lines ordered in one month, one of them cancelled."""
    shop.source(purchase_order_line="delta", goods_receipt="append")
    lines = [{"po_id": f"P{n}", "status": "cancelled" if n == 3 else "open"} for n in range(10)]
    shop.land("purchase_order_line", "2026-03-11", *lines)
    shop.land("goods_receipt", "2026-03-16", {"po_id": "P1"})
    shop.good_night()
    return shop


def test_a_metric_is_added_as_the_page_says_and_the_queries_for_bi_run(ordering: Shop, reader_url: str) -> None:
    (card,), (target,) = _blocks("add-a-metric.md", "yaml"), _blocks("add-a-metric.md", "csv")
    folder = ordering.settings.home / "metrics"
    folder.mkdir(exist_ok=True)
    (folder / "cancelled_lines.yaml").write_text(card)
    (folder / "targets.csv").write_text(target)
    ordering.good_night()
    (look,), queries = _blocks("add-a-metric.md", "sql"), _blocks("connect-bi.md", "sql")
    assert len(queries) == 5
    with psycopg.connect(reader_url) as reader:
        rows = reader.execute(look).fetchall()
        assert [(str(row[0]), *map(Decimal, row[1:5]), row[5]) for row in rows] == [("2026-03-01", 1, 10, 10, 3, "red")]
        found = [reader.execute(query.replace("2026-04-01 06:00+00", "now")).fetchall() for query in queries]
    # The five of the page: headlines, suppliers, what is red, a work centre's scrap, what was known.
    assert [bool(rows) for rows in found] == [True, True, False, False, True]
    assert [row[1:] for row in found[1]] == [(1, Decimal("100.0"))]
