"""The ways in and out: pulling, staging, the lake, the ledger, gates, the warehouse."""
