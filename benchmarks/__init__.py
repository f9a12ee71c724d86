"""Benchmarks: `python -m benchmarks.NAME [--json]`, each measured beside a peer in the same run."""
