"""Allocations of time on GPU types to jobs, in the sense of Gavel (Narayanan et al., OSDI 2020).

An allocation ``X`` gives each job the fraction of time that it shall run on each GPU type. ``allocation`` holds the
objectives, ``solver`` the linear program behind all of them, ``active`` what they are computed from.
"""
