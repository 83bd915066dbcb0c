"""Benchmarks: `pytest bench`, or `pytest bench -k text`. Peers run beside us, on the same work, in the same run."""
