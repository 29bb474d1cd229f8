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
from schemas.dimensions.dim_account import DimAccount, DimAccountClosure
from schemas.dimensions.dim_cost_center import DimCostCenter, DimCostCenterClosure, DimCostCenterHistory
from schemas.dimensions.dim_date import DimDate
from schemas.dimensions.dim_item import DimItem, DimItemHistory
from schemas.dimensions.dim_site import DimSite, DimSiteHistory
from schemas.dimensions.dim_supplier import DimSupplier, DimSupplierHistory
from schemas.dimensions.dim_work_center import DimWorkCenter, DimWorkCenterHistory
from schemas.facts.fct_budget import FctBudget
from schemas.facts.fct_budget_actual import FctBudgetActual
from schemas.facts.fct_gl_entry import FctGlEntry
from schemas.facts.fct_goods_receipt import FctGoodsReceipt
from schemas.facts.fct_inventory_daily import FctInventoryDaily
from schemas.facts.fct_operation import FctOperation
from schemas.facts.fct_production_order import FctProductionOrder
from schemas.facts.fct_purchase_order_line import FctPurchaseOrderLine
from schemas.registry import Closing, Dataset, Dimension, Driving, Fact, Link, Linked, LookBack, Reference, Whole

_RATES = LookBack(days=7)
"""How old an exchange rate may be: a week bridges weekends and holidays. The transforms look back as far."""

_SITE = ("currency", "time_zone")
"""What facts look at in a site."""

PERIODS = "fiscal_period"
"""The dataset that says which periods are closed."""

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
        Dataset("gl_entry", GlEntry, dated_by="posted_on", reverses=("debit", "credit")),
        Dataset("budget_line", BudgetLine, dated_by="period_start", is_plan=True),
    )
}

FACTS: dict[str, Fact] = {
    fact.name: fact
    for fact in (
        Fact(
            "fct_purchase_order_line",
            FctPurchaseOrderLine,
            domain="supplier",
            anchor="ordered_on",
            logic_version=2,
            inputs={
                "purchase_order_line": Driving(),
                "goods_receipt": Linked(),
                "item": Reference("item", columns=("base_uom",)),
                "item_cost": Reference("item", valid_from="valid_from"),
                "site": Reference("site", columns=_SITE),
                "code_map": Reference(None),
                "fx_rate": _RATES,
            },
        ),
        Fact(
            "fct_goods_receipt",
            FctGoodsReceipt,
            domain="supplier",
            anchor="received_on",
            inputs={
                "goods_receipt": Driving(before=1, after=1),
                "purchase_order_line": Linked(),
                "item": Reference("item", columns=("base_uom",)),
                "item_cost": Reference("item", valid_from="valid_from"),
                "site": Reference("site", columns=_SITE),
                "code_map": Reference(None),
                "fx_rate": _RATES,
            },
        ),
        Fact(
            "fct_production_order",
            FctProductionOrder,
            domain="production",
            anchor="planned_start_on",
            inputs={
                "production_order": Driving(before=1, after=1),
                "operation_confirmation": Linked(),
                "item": Reference("item", columns=("base_uom",)),
                "site": Reference("site", columns=_SITE),
                "code_map": Reference(None),
            },
        ),
        Fact(
            "fct_operation",
            FctOperation,
            domain="production",
            anchor="business_date",
            logic_version=2,
            inputs={
                "operation_confirmation": Driving(before=1, after=1),
                "production_order": Linked(),
                "work_center": Reference("work_center", columns=("site_id",)),
                "item": Reference("item", columns=("base_uom",)),
                "site": Whole("site", used_by=("work_center", "production_order"), columns=_SITE),
                "code_map": Whole(used_by=("operation_confirmation", "production_order", "work_center")),
                "fx_rate": _RATES,
            },
        ),
        Fact(
            "fct_inventory_daily",
            FctInventoryDaily,
            domain="supplier",
            anchor="snapshot_date",
            inputs={
                "stock_snapshot": Driving(),
                "item": Reference("item", columns=("base_uom",)),
                "item_cost": Reference("item", valid_from="valid_from"),
                "site": Reference("site", columns=_SITE),
                "code_map": Reference(None),
                "fx_rate": _RATES,
            },
        ),
        Fact(
            "fct_gl_entry",
            FctGlEntry,
            domain="finance",
            anchor="posted_on",
            logic_version=2,
            inputs={
                "gl_entry": Driving(),
                "fiscal_period": Closing(),
                "account": Reference("account", columns=("normal_side",)),
                "site": Reference("site", columns=_SITE),
                "code_map": Reference(None),
                "fx_rate": _RATES,
            },
        ),
        Fact(
            "fct_budget",
            FctBudget,
            domain="finance",
            anchor="period_start",
            inputs={"budget_line": Driving(), "code_map": Reference(None), "fx_rate": _RATES},
        ),
        Fact(
            "fct_budget_actual",
            FctBudgetActual,
            domain="finance",
            anchor="period_start",
            grain="month",
            is_cross_source=True,
            logic_version=3,
            inputs={
                "budget_line": Driving(),
                "gl_entry": Driving(),
                "fiscal_period": Closing(),
                "account": Reference("account", columns=("normal_side",)),
                "code_map": Reference(None),
                "fx_rate": _RATES,
            },
        ),
    )
}

DIMENSIONS: dict[str, Dimension] = {
    dimension.name: dimension
    for dimension in (
        Dimension("dim_date", DimDate, None, ("fiscal_period",)),
        Dimension("dim_site", DimSite, "site", ("site", "code_map", "code_span")),
        Dimension("dim_work_center", DimWorkCenter, "work_center", ("work_center", "code_map", "code_span")),
        Dimension("dim_item", DimItem, "item", ("item", "code_map", "code_span")),
        Dimension("dim_supplier", DimSupplier, "supplier", ("supplier", "code_map", "code_span")),
        Dimension("dim_account", DimAccount, "account", ("account", "code_map", "code_span")),
        Dimension("dim_account_closure", DimAccountClosure, None, ("account", "code_map", "code_span")),
        Dimension("dim_cost_center", DimCostCenter, "cost_center", ("cost_center", "code_map", "code_span")),
        Dimension("dim_cost_center_closure", DimCostCenterClosure, None, ("cost_center", "code_map", "code_span")),
        Dimension("dim_site_history", DimSiteHistory, None, ("site", "coverage", "code_map"), history=True),
        Dimension(
            "dim_work_center_history", DimWorkCenterHistory, None, ("work_center", "coverage", "code_map"), history=True
        ),
        Dimension("dim_item_history", DimItemHistory, None, ("item", "coverage", "code_map"), history=True),
        Dimension("dim_supplier_history", DimSupplierHistory, None, ("supplier", "coverage", "code_map"), history=True),
        Dimension(
            "dim_cost_center_history", DimCostCenterHistory, None, ("cost_center", "coverage", "code_map"), history=True
        ),
    )
}
