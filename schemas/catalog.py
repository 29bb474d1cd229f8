"""The catalogue: every dataset, fact and dimension of the mart, by name."""

from schemas.datasets.account import Account
from schemas.datasets.budget_line import BudgetLine
from schemas.datasets.code_map import CodeMap
from schemas.datasets.cost_center import CostCenter
from schemas.datasets.fiscal_period import FiscalPeriod
from schemas.datasets.fx_rate import FxRate
from schemas.datasets.gl_entry import GlEntry
from schemas.datasets.goods_receipt import GoodsReceipt
from schemas.datasets.item import Item
from schemas.datasets.item_cost import ItemCost
from schemas.datasets.operation_confirmation import OperationConfirmation
from schemas.datasets.production_order import ProductionOrder
from schemas.datasets.purchase_order_line import PurchaseOrderLine
from schemas.datasets.site import Site
from schemas.datasets.stock_snapshot import StockSnapshot
from schemas.datasets.supplier import Supplier
from schemas.datasets.work_center import WorkCenter
from schemas.registry import Dataset, Dimension, Fact, Link

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        # Master data
        Dataset("code_map", CodeMap),
        Dataset("site", Site, keeps_history=True),
        Dataset("work_center", WorkCenter, keeps_history=True),
        Dataset("item", Item, keeps_history=True),
        Dataset("item_cost", ItemCost),
        Dataset("supplier", Supplier, keeps_history=True),
        Dataset("account", Account),
        Dataset("cost_center", CostCenter, keeps_history=True),
        Dataset("fiscal_period", FiscalPeriod),
        Dataset("fx_rate", FxRate, dated_by="rate_date"),
        # Supplier and inventory
        Dataset(
            "purchase_order_line",
            PurchaseOrderLine,
            dated_by="ordered_on",
            link=Link("purchase_order", ("po_id", "line_no")),
        ),
        Dataset(
            "goods_receipt", GoodsReceipt, dated_by="received_at", link=Link("purchase_order", ("po_id", "po_line_no"))
        ),
        Dataset("stock_snapshot", StockSnapshot, dated_by="snapshot_date"),
        # Production
        Dataset(
            "production_order",
            ProductionOrder,
            dated_by="planned_start",
            link=Link("production_order", ("order_id",)),
        ),
        Dataset(
            "operation_confirmation",
            OperationConfirmation,
            dated_by="ended_at",
            link=Link("production_order", ("order_id",)),
        ),
        # Finance
        Dataset("gl_entry", GlEntry, dated_by="posted_on"),
        Dataset("budget_line", BudgetLine, dated_by="period_start"),
    )
}

FACTS: dict[str, Fact] = {}

DIMENSIONS: dict[str, Dimension] = {}
