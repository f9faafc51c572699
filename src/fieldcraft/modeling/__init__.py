"""A model while it is being made: its rows, its members, how it is judged, how it is packed."""
