"""Everything that touches the outside world: orchestration, files, the lake, the warehouse, the command line."""
