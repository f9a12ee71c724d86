"""Train, tune and judge schedulers for GPU clusters.

Importing the package loads no heavy library: every family (policies, traces, scenarios, networks, ...)
is a table of names whose entries are imported on first use.
"""

__version__ = "0.1.0"
