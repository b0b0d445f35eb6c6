"""Networks in fewer bits: hashed, shared and coded weights beside entropies, other codes and the literature."""
