"""Tables: reading them, profiling and typing their columns, digests of rows, and splits."""
