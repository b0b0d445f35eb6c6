"""The PyTorch face of `sketches.nn`: modules are hooked, masked and shrunk here; the mathematics is in plain arrays."""
