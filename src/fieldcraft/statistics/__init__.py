"""Evidence: the ledger, findings, measures, and the statistics behind every claim."""
