"""Pruning, on plain arrays and files: what weights and units are worth, and which of them go."""
