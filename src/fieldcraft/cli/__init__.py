"""The commands, thin over the stages."""
