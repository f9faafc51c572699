"""The ledger: append-only records of a project, chained by hash."""
