"""Statistics of activations: what is kept of a stream of batches, and what one reads of it."""
