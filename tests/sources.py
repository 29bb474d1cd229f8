"""A source of a test's own: its folder with source.yaml and SELECTs, a landing folder, and staging of what lands."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

from flows.io.pull import Delivery, Pulled, load_source, pull
from flows.io.stage import Staged, stage
from flows.io.staging.pseudonym import pseudonymiser
from flows.settings import Settings, load_settings
from schemas.catalog import DATASETS
from schemas.source import Source

NOW = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)

PO_LINE_SQL = """
    select
      l.po as po_id, l.line as line_no, l.supplier as supplier_id, l.item as item_id, l.ordered as ordered_on,
      l.qty as ordered_qty, 'EA' as uom, l.price as unit_price, l.currency as currency, 'open' as status
    from lines as l
"""

HEADER = "po,line,supplier,item,ordered,qty,price,currency"
ROW = "P1,1,S1,I1,2026-02-03,5,2.50,EUR"


@dataclass(frozen=True)
class TestSource:
    """A source folder and a home to land in."""

    __test__ = False

    folder: Path
    settings: Settings

    @property
    def source(self) -> Source:
        """The source as loaded."""
        return load_source(self.folder)

    def land(self, name: str, content: str | bytes) -> Path:
        """Put a file into the source's landing folder."""
        path = self.settings.landing / self.source.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def pull(self, now: datetime = NOW) -> Pulled:
        """Land what is new."""
        return pull(self.source, self.settings, now=now)

    def stage(self, delivery: Delivery) -> Staged:
        """Stage one delivery."""
        work = self.settings.home / "work" / delivery.content_hash[:12]
        staged = stage(
            delivery,
            self.source,
            DATASETS[delivery.dataset],
            work,
            extract_id=7,
            pseudonym=pseudonymiser(self.settings.home),
        )
        assert staged.rows_in == sum(list(staged.counts.values())[1:])
        assert staged.row_count == staged.rows_accepted
        return staged

    def stage_only(self, now: datetime = NOW) -> Staged:
        """Stage the one delivery that there is."""
        (delivery,) = self.pull(now).deliveries
        assert delivery.is_complete
        return self.stage(delivery)


def make_source(tmp_path: Path, yaml: str, **mappings: str) -> TestSource:
    """A source folder; `mappings` are the SELECTs by dataset."""
    folder = tmp_path / "sources" / "shop"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "source.yaml").write_text(dedent(yaml))
    for dataset, sql in mappings.items():
        (folder / f"{dataset}.sql").write_text(dedent(sql))
    return TestSource(folder, load_settings(home=tmp_path / "home"))


def po_lines(
    tmp_path: Path, table: str = "", *, mode: str = "snapshot", extra: str = "", sql: str = PO_LINE_SQL
) -> TestSource:
    """A source `shop` of purchase order lines in one file; `table` are more keys of the raw table, in one line each."""
    keys = "".join(f"\n            {line}" for line in dedent(table).strip().splitlines())
    text = f"""
        name: shop
        {extra}
        tables:
          lines:
            path: "lines*"
            types: {{ordered: date, qty: decimal, price: decimal}}{keys}
        datasets:
          purchase_order_line: {{mode: {mode}}}
    """
    return make_source(tmp_path, text, purchase_order_line=sql)
