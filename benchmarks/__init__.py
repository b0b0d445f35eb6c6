"""Speed of every sketch, in one seeded run: ``python -m benchmarks.speed``."""
