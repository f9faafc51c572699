"""Modeling: dataset, fold models, comparison, explanations, packaging and promotion."""
