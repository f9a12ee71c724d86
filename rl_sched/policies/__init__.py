"""The POLICIES table: every scheduling rule by name."""

from rl_sched.registry import Registry

POLICIES = Registry("policy", {})
