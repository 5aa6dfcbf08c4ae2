"""Benchmark: this server side by side with its peers. Run `python -m tests.bench`."""
