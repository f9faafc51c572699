"""The deployable artefact and its runtime, which needs neither PyTorch nor the project."""
