"""mart.fct_budget.

Grain: account x cost centre x month x scenario x budget version. Natural key: source, budget_version, scenario,
account_id, cost_center_id, period_start. Anchor: period_start.
Additive: amounts within one currency (reporting amounts without restriction) and one scenario and version.
Not additive: over scenarios or versions; variable_rate and fx rates.
"""

from schemas import columns as c
from schemas.contract import FactContract


class FctBudget(FactContract):
    """Planned amounts per month, every version that was delivered."""

    budget_version = c.text("Version of the budget", key=True)
    scenario = c.text("budget, forecast or target", key=True)
    account_id = c.text("Account as delivered", key=True)
    account_key = c.durable_key("Account", "dim_account")
    cost_center_id = c.text("Cost centre as delivered; '' for none", key=True)
    cost_center_key = c.durable_key("Cost centre", "dim_cost_center")
    period_start = c.date("First day of the month; anchors the row", key=True)
    driver = c.text("What the variable part follows", null=True)

    currency = c.currency("Currency of the amounts without a suffix (ISO 4217)")
    fx_rate_reporting = c.price("Rate from currency to the reporting currency on period_start", null=True)
    amount = c.amount("Planned amount, positive on the account's normal side, in currency")
    amount_reporting = c.amount("amount in the reporting currency", null=True)
    fixed_amount = c.amount("Part that does not follow the driver, in currency", null=True)
    fixed_amount_reporting = c.amount("fixed_amount in the reporting currency", null=True)
    variable_rate = c.price("Amount per unit of the driver, in currency", null=True)
    budget_line_count = c.count("1")
