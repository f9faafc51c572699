"""Training: the fused network, the one loop, and what both need. Imported late, by learners."""
