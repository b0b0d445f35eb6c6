"""Networks in fewer bits: codes of weights beside entropies, other codes and the literature."""
