"""The Python face of Fieldcraft, thin over the stages."""
