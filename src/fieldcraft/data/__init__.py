"""Tables: reading them, looking at their columns, naming their rows, splitting them."""
