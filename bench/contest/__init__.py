"""The contest of learners on tables: tables, splits, rounds, figures, report."""
