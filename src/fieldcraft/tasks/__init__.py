"""What a target can ask. One folder each; other packages add theirs by entry point."""
