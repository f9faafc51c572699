"""The ground floor: errors, plug discovery, digests, seeds, safe files. Standard library only."""
