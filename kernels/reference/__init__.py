"""The PyTorch backend: short, exact, on any device. It is the specification."""
