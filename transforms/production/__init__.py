"""Production facts: orders, operations, stock."""
