"""The dashboard: policies race on the same jobs before your eyes. ``python -m rl_sched.dashboard``.

One command, three processes: the web server (``app``), the simulation (``worker``), which no client can slow down, and a
reader of files (``catalogue``, ``history``). docs/dashboard.md is the full text.
"""
