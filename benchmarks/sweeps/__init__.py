"""The figures of ``benchmarks/sweep.py``, one file each: a function ``(options) -> list of figures``."""
