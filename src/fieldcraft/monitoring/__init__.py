"""What watches a model in production: drift, data quality, feedback, server metrics."""
