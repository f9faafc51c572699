"""Report, model card and monitoring report, rendered from records alone."""
