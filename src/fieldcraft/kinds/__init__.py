"""What a column can hold. One folder each; other packages add theirs by entry point."""
