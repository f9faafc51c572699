"""Benchmark of learners on tables: tables, splits, rounds, metrics, report."""
