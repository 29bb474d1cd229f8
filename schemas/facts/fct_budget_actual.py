"""mart.fct_budget_actual.

Grain: account x cost centre x month x scenario x budget version, accounts and cost centres conformed; brings all
sources together (`source` is ''). Natural key: source, period_start, scenario, budget_version, account_key,
cost_center_key. Anchor: period_start, one slice per month.
All amounts are in the reporting currency. Actuals are the journal without closing entries, signed by the account's
normal side, and repeat under every version of the month, so that the sum of actual_amount of one version of one month
is the ledger's; months without any budget have scenario 'none' and version ''.
Additive: amounts within one scenario and version (`is_current_budget` picks one). Not additive: over versions.
Variances are budget - actual: for cost accounts + is favourable, for revenue accounts - is.
"""

from schemas import columns as c
from schemas.contract import FactContract


class FctBudgetActual(FactContract):
    """Budget against actuals, per month."""

    period_start = c.date("First day of the month; anchors the row", key=True)
    scenario = c.text("budget, forecast, target; none where the month has no budget", key=True)
    budget_version = c.text("Version of the budget; '' where the month has no budget", key=True)
    account_id = c.text("Account in its master code space", null=True)
    account_key = c.durable_key("Account", "dim_account", key=True)
    normal_side = c.text("Side on which the account grows: amounts are positive there. debit, credit", null=True)
    cost_center_id = c.text("Cost centre in its master code space", null=True)
    cost_center_key = c.durable_key("Cost centre", "dim_cost_center", key=True)
    is_current_budget = c.flag("Newest version of scenario budget for the month")
    currency = c.currency("Reporting currency (ISO 4217)")

    budget_amount = c.amount("Planned amount; 0 where nothing was planned")
    actual_amount = c.amount("Actual amount, signed by the account's normal side; 0 where nothing was posted")
    flex_amount = c.amount("Budget at the actual volume: the fixed amount where nothing is variable", null=True)
    activity_variance = c.amount("flex_amount - budget_amount", null=True)
    spending_variance = c.amount("flex_amount - actual_amount", null=True)
    total_variance = c.amount("budget_amount - actual_amount")
    missing_rate_count = c.count("Budget and journal lines left out of the amounts for want of an exchange rate")
