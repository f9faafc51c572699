"""Errors, plug-in discovery, digests, seeds and atomic files, by the standard library alone."""
