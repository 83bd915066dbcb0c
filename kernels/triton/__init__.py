"""The Triton backend: fast on a GPU."""
