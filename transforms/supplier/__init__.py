"""Supplier facts: purchase order lines and goods receipts."""
