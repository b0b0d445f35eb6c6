"""What every sketch shares: the contract, items and their hash, the bounds' formulas, bytes."""
