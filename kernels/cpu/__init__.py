"""The numba backend: fast on a machine without a GPU."""
