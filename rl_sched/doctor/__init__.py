"""Looks at every machine of a cluster before a sweep is trusted to it: ``python -m rl_sched.doctor cluster.yaml``.

``probe`` runs on the machines, ``nodes`` reaches them, ``checks`` judges what they say and tells how to mend it.
"""
