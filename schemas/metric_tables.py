"""Tables of the metrics layer: the cards, the sums they are made of, the targets.

mart.dim_metric. Grain: one card.
mart.dim_metric_side. Grain: metric x numerator or denominator x kind of scope.
mart.dim_metric_component. Grain: one component, known by its definition; one that no card uses any more stays, for what
was reported with it.
mart.dim_metric_target. Grain: metric x scope x member x period x first day.
mart.fct_metric_component. Grain: component x leaf scope x date x known_from. Additive over days and scopes where the
component is a flow; a balance is summed over scopes only.
"""

import dataframely as dy

from schemas import columns as c
from schemas.contract import Contract


class DimMetric(Contract):
    """Metrics as their cards say now; schemas/metrics/*.yaml."""

    metric_key = c.durable_key("Durable key of the metric", "", key=True)
    metric_id = c.text("Id of the metric: the name of its card")
    name = c.text("Name")
    says = c.text("What it says")
    formula = c.text("Formula in words")
    combine = c.text("ratio: numerator / denominator; difference: numerator - denominator; value: the numerator")
    scale = c.price("Factor of the value")
    per = c.text("day: times the days of the period; year: times 365 / days of the period", null=True)
    unit = c.text("Unit of the value")
    range_low = c.price("Least value that makes sense", null=True)
    range_high = c.price("Greatest value that makes sense", null=True)
    direction = c.text("Better is: higher, lower, or near the target")
    scopes = c.text("Scopes it is shown by, with commas between")
    periods = c.text("Periods it is shown by, with commas between")
    null_rule = c.text("What a numerator without rows counts as: zero, or unknown")
    standard = c.text("Standard and clause that define something like it; '' for none")
    audience = c.text("Who it is for, with commas between")
    owner = c.text("Role that answers for it")
    version = c.whole("Version of the card")
    headline = c.whole("Place on the short scorecard; NULL: not on it", null=True)
    numerator_key = c.durable_key("Component that is the numerator", "dim_metric_component")
    numerator_time = c.text("How its days become periods: sum, last, average, none")
    numerator_account_type = c.text("Only accounts of this type", null=True)
    denominator_key = dy.Int64(
        description="Component that is the denominator or what is taken off; NULL: none", nullable=True
    )
    denominator_time = c.text("How its days become periods: sum, last, average, none", null=True)
    denominator_account_type = c.text("Only accounts of this type", null=True)
    row_hash = dy.Int64(description="Hash of everything else in the row")
    published_at = c.instant("When the card was taken as it is")


class DimMetricSide(Contract):
    """What each scope of a metric is made of: a table of its own, so that queries of mart.v_metric are planned well."""

    metric_key = c.durable_key("Metric", "dim_metric", key=True)
    is_numerator = dy.Bool(description="Numerator, or denominator", metadata={"key": True})
    scope = c.text("Kind of scope that it is shown by", key=True)
    metric_id = c.text("Id of the metric")
    component_key = c.durable_key("Component", "dim_metric_component")
    time_rule = c.text("How its days become periods: sum, last, average, none")
    account_type = c.text("Only accounts of this type", null=True)


class DimMetricComponent(Contract):
    """Components: sums over the rows of one fact, by day and leaf scope."""

    component_key = c.durable_key("Hash of the definition", "", key=True)
    component = c.text("The definition as SQL, to be read")
    fact = c.text("Fact that is summed")
    date_column = c.text("Date of the fact that dates the value")
    value_sql = c.text("What is summed, over one row of the fact")
    where_sql = c.text("Which rows; '' for all")
    leaf = c.text("Dimensions it is kept by, with commas between")
    datasets = c.text("Datasets whose rows its fact has, with commas between")
    is_current = c.flag("A card uses it, and it is kept up to date")
    published_at = c.instant("When it was taken or given up")


class DimMetricTarget(Contract):
    """Targets and thresholds: those of the member before those of the whole scope, of the period before any period."""

    metric_key = c.durable_key("Metric", "dim_metric", key=True)
    scope = c.text("Kind of scope: company, site, supplier, …", key=True)
    scope_id = c.text("Member in its master code space; '' for each", key=True)
    period = c.text("day, week, month or fiscal_period; '' for each", key=True)
    valid_from = c.date("First day on which it holds", key=True)
    valid_to = c.date("First day on which it no longer holds")
    target = c.price("What is aimed at")
    red_below = c.price("Red below this value", null=True)
    red_above = c.price("Red above this value", null=True)


class FctMetricComponent(Contract):
    """Numerators and denominators by day and leaf scope, as known now (known_to is NULL) and as reported earlier."""

    component_key = c.durable_key("Component", "dim_metric_component", key=True)
    date = c.date("Day that the component's date column says", key=True)
    site_key = c.durable_key("Site; -2 where the component is not kept by it", "dim_site", key=True)
    supplier_key = c.durable_key("Supplier; -2 where the component is not kept by it", "dim_supplier", key=True)
    work_center_key = c.durable_key(
        "Work centre; -2 where the component is not kept by it", "dim_work_center", key=True
    )
    cost_center_key = c.durable_key(
        "Cost centre; -2 where the component is not kept by it", "dim_cost_center", key=True
    )
    account_key = c.durable_key("Account; -2 where the component is not kept by it", "dim_account", key=True)
    item_key = c.durable_key("Item; -2 where the component is not kept by it", "dim_item", key=True)
    value = dy.Decimal(38, 10, description="Sum over the fact's rows of that day and leaf scope")
    row_count = c.whole("Number of rows that it is the sum of")
    known_from = c.instant("When it became known", key=True)
    known_to = c.instant("When it was known otherwise; NULL: it is known so now", null=True)


METRIC_TABLES: dict[str, type[Contract]] = {
    "dim_metric_component": DimMetricComponent,
    "dim_metric": DimMetric,
    "dim_metric_side": DimMetricSide,
    "dim_metric_target": DimMetricTarget,
    "fct_metric_component": FctMetricComponent,
}
"""The layer's tables of `mart`, by name."""
