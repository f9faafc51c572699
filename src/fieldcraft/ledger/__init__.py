"""The ledger: append-only, hash-chained records of a project."""
