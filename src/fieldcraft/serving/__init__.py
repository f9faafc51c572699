"""The server: bundles behind HTTP, fast and hard to upset; loads no training library."""
