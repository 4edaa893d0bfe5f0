"""The same work done by ocibuild and by its peers, side by side in one run: ``python -m benchmarks``."""
