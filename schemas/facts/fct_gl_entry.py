"""mart.fct_gl_entry.

Grain: one journal line; where a source adjusts closed periods, also one row for each correction of a line and one for
what that takes back. Natural key: source, journal_id, line_no, posted_on, original_posted_on, is_reversal. Anchor:
posted_on (in the key because journals may be delivered as append-only events). A correction that came after the
period was closed is posted on the first open day after it (is_adjustment), so that the period stays what was reported;
summed over original_posted_on the amounts are what the ledger says today.
Additive: debit, credit and net_amount within one currency (reporting amounts without restriction), entry_count; over
accounts of different kinds net_amount adds debit-side to credit-side accounts, so sum it by account type.
Not additive: rates.
"""

from schemas import columns as c
from schemas.contract import FactContract


class FctGlEntry(FactContract):
    """Lines of the general ledger's journals."""

    journal_id = c.text("Journal document", key=True)
    line_no = c.text("Line within the journal", key=True)
    posted_on = c.date("Posting day, of adjustments the first open day after the closed period; anchors it", key=True)
    original_posted_on = c.date("Posting day as delivered", key=True)
    is_reversal = c.flag("Takes back a line of a closed period: its amounts with the other sign", key=True)
    is_adjustment = c.flag("Corrects a closed period: posted_on is not the posting day as delivered")
    account_id = c.text("Account as delivered")
    account_key = c.durable_key("Account", "dim_account")
    cost_center_id = c.text("Cost centre as delivered", null=True)
    cost_center_key = c.durable_key("Cost centre", "dim_cost_center")
    site_id = c.text("Site as delivered", null=True)
    site_key = c.durable_key("Site", "dim_site")
    is_closing = c.flag("Entry of a period's or a year's closing; not part of actuals")
    reference = c.text("Document or text it refers to", null=True)

    currency = c.currency("Currency of the amounts without a suffix (ISO 4217)")
    functional_currency = c.currency("Currency of the site (ISO 4217)", null=True)
    fx_rate_functional = c.price("Rate from currency to functional_currency on original_posted_on", null=True)
    fx_rate_reporting = c.price("Rate from currency to the reporting currency on original_posted_on", null=True)
    debit = c.amount("Debit amount, in currency")
    credit = c.amount("Credit amount, in currency")
    net_amount = c.amount(
        "Amount signed by the account's normal side (debit where the account is unknown), in currency"
    )
    debit_functional = c.amount("debit in functional_currency", null=True)
    credit_functional = c.amount("credit in functional_currency", null=True)
    net_amount_functional = c.amount("net_amount in functional_currency", null=True)
    debit_reporting = c.amount("debit in the reporting currency", null=True)
    credit_reporting = c.amount("credit in the reporting currency", null=True)
    net_amount_reporting = c.amount("net_amount in the reporting currency", null=True)
    entry_count = c.count("1")
