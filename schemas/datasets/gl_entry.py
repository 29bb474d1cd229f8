"""Journal lines. Key: (journal_id, line_no). Dated by posted_on."""

import dataframely as dy
import polars as pl

from schemas import columns as c
from schemas.codes import is_currency
from schemas.contract import DatasetContract


class GlEntry(DatasetContract):
    """One line of a journal of the general ledger. That debits equal credits per journal is a gate, not a row rule."""

    journal_id = c.code("Journal document", "journal", key=True)
    line_no = c.text("Line within the journal", key=True)
    posted_on = c.date("Posting day")
    account_id = c.code("Account", "account")
    cost_center_id = c.code("Cost centre", "cost_center", null=True)
    site_id = c.code("Site", "site", null=True)
    debit = c.amount("Debit amount, in currency; negative takes back")
    credit = c.amount("Credit amount, in currency; negative takes back")
    currency = c.currency()
    is_closing = c.flag("Entry of a period's or a year's closing; not part of actuals", null=True)
    reference = c.text("Document or text it refers to", null=True)

    @dy.rule()
    def debit_or_credit_but_not_both(cls) -> pl.Expr:
        return (pl.col("debit") == 0) | (pl.col("credit") == 0)

    @dy.rule()
    def currency_exists(cls) -> pl.Expr:
        return is_currency("currency")
