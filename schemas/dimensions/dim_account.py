"""mart.dim_account and its closure. Grain: one account; in the closure one pair of ancestor and descendant."""

from schemas import columns as c
from schemas.contract import DimensionContract, PublishedContract


class DimAccount(DimensionContract):
    """Accounts with their current attributes."""

    account_key = c.durable_key("Durable key of the account", "", key=True)
    account_id = c.text("Account in its master code space")
    name = c.text("Name; the id where no master data has come")
    account_type = c.text("Kind of account: asset, liability, equity, revenue, expense, statistical", null=True)
    normal_side = c.text("Side on which the account grows: debit, credit", null=True)
    parent_account_id = c.text("Account it rolls up to, as delivered", null=True)
    parent_account_key = c.durable_key("Account it rolls up to; -2 for a root", "dim_account")


class DimAccountClosure(PublishedContract):
    """Every account with each account it rolls up to, itself included (depth 0).

    Join facts on descendant_account_key and group by ancestor_account_key to sum a subtree.
    """

    ancestor_account_key = c.durable_key("Account rolled up to", "dim_account", key=True)
    descendant_account_key = c.durable_key("Account that rolls up", "dim_account", key=True)
    depth = c.whole("Steps from descendant to ancestor; 0 is the account itself")
    is_leaf = c.flag("The descendant has no children")
