"""The dashboard: policies race on the same jobs before your eyes. ``python -m rl_sched.dashboard``.

One command: the web server (``app``), and beside it processes of its own for the simulation (``worker``), which no
client can slow down, for the hybrid view (``hybrid_worker``) and for reading files (``reader``). docs/dashboard.md is
the full text.
"""
