"""Pure Polars: LazyFrame in, LazyFrame out; no I/O, no clock."""
