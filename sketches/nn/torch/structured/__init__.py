"""Structured pruning: which units of a model belong together, and how they are taken out."""
