"""Monitoring of a model in production: drift, data quality, feedback, server metrics."""
