"""Every registered network passes the conformance suite."""

from __future__ import annotations

from rl_sched.testing.networks import NetworkConformance, SetNetworkConformance


class TestNetworks(NetworkConformance):
    pass


class TestSetNetworks(SetNetworkConformance):
    pass
